"""Dead links of a built site are found."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "check_links.py"


@pytest.fixture
def site(tmp_path):
    """A site of two pages and a picture without dead links."""
    (tmp_path / "index.html").write_text(
        '<a href="pages/one.html#here">1</a> <a href="#">top</a> <img src="a%20b.svg"> <a href="https://x.org/">x</a>'
    )
    (tmp_path / "a b.svg").write_text("<svg/>")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "one.html").write_text('<h1 id="here">1</h1> <a href="../">home</a> <a href="#here">up</a>')
    return tmp_path


def check(site):
    return subprocess.run([sys.executable, SCRIPT, site], capture_output=True, text=True)


def test_a_good_site(site):
    process = check(site)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "0 dead links" in process.stdout


@pytest.mark.parametrize("link", ["nowhere.html", "one.html#nowhere", "#nowhere", "../../index.html", "../c.svg"])
def test_a_dead_link(site, link):
    with (site / "pages" / "one.html").open("a") as file:
        file.write(f'<a href="{link}">x</a>')
    process = check(site)
    assert process.returncode == 1
    assert f"{Path('pages/one.html')}: {link} leads nowhere" in process.stdout


def test_a_folder_that_is_no_site(tmp_path):
    process = check(tmp_path)
    assert process.returncode == 1
    assert "has no index.html" in process.stdout
