"""The examples in the gallery: their order, and those whose packages are missing."""

import importlib
import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx_gallery")
example_gallery = importlib.import_module("example_gallery")

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_order():
    names = ["recipes/calibration.py", "12_very_deep.py", "05_four_steps_of_training.py", "quickstart.py"]
    assert sorted(names, key=example_gallery.order_of_readme) == [names[3], names[1], names[2], names[0]]


def test_each_example_has_a_place():
    places = [example_gallery.order_of_readme(str(path)) for path in EXAMPLES.rglob("*.py")]
    assert len(set(places)) == len(places)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "import json\nimport no_such_a.part\nwith open('x'):\n    import no_such_b\n"
        "try:\n    import no_such_c\nexcept ImportError:\n    pass\ndef f():\n    import no_such_d\n"
    )
    return path


def test_missing_modules(script):
    assert example_gallery.missing_modules(script) == ["no_such_a", "no_such_b"]


def test_what_runs(monkeypatch, script):
    monkeypatch.setattr(example_gallery, "EXAMPLES", script.parent)
    (script.parent / "good.py").write_text("import json\n")
    pattern = example_gallery.pattern_of_those_that_run()
    assert re.search(pattern, str(script.parent / "good.py"))
    assert not re.search(pattern, str(script))


def test_the_page_says_what_is_missing(monkeypatch, script):
    monkeypatch.setattr(example_gallery, "EXAMPLES", script.parent)
    page = [".. DO NOT EDIT.\n\nTitle\n=====\n\nText\n"]
    example_gallery.say_what_is_missing(None, "gallery/script", page)
    note = ".. note:: This example was not run for this site. Not installed: no_such_a, no_such_b.\n\n"
    assert page == [f".. DO NOT EDIT.\n\nTitle\n=====\n\n{note}Text\n"]


@pytest.mark.parametrize("docname", ["gallery/good", "guide/script"])
def test_other_pages_stay(monkeypatch, script, docname):
    monkeypatch.setattr(example_gallery, "EXAMPLES", script.parent)
    (script.parent / "good.py").write_text("import json\n")
    page = ["Title\n=====\n\nText\n"]
    example_gallery.say_what_is_missing(None, docname, page)
    assert page == ["Title\n=====\n\nText\n"]


def test_files_that_an_example_writes(monkeypatch, tmp_path):
    examples, gallery = tmp_path / "examples", tmp_path / "docs" / "gallery"
    (gallery / "images").mkdir(parents=True)
    examples.mkdir()
    monkeypatch.chdir(examples)
    for name in ("07_a.png", "07_a_2.png", "08_b.png"):
        (examples / name).write_bytes(b"picture")
    (examples / "07_a.html").write_text('<p class="x">&amp;</p>')
    places = [gallery / "images" / f"{number}.png" for number in range(3)]
    variables = {
        "src_file": str(examples / "07_a.py"),
        "target_file": str(gallery / "07_a.py"),
        "image_path_iterator": map(str, places),
    }
    (examples / "07_a.c").write_text("int a;")
    text = example_gallery.take_files(None, variables, {"src_dir": str(tmp_path / "docs")})
    assert "/gallery/images/0.png" in text
    assert "/gallery/images/1.png" in text
    assert [path.exists() for path in places] == [True, True, False]
    assert ".. raw:: html\n   :file: 07_a.html\n" in text
    assert "&lt;p class=&quot;x&quot;&gt;&amp;amp;&lt;/p&gt;" in (gallery / "07_a.html").read_text()
    assert [path.name for path in examples.iterdir()] == ["08_b.png"]


def test_examples_do_without_their_own_path():
    """sphinx-gallery runs them without `__file__`."""
    scripts = list(EXAMPLES.rglob("*.py"))
    assert scripts
    assert not [path.name for path in scripts if "__file__" in path.read_text("utf-8")]
