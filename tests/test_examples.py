"""Every example runs without a warning, and draws its picture when matplotlib is there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PICTURES = {"quickstart.py": "quickstart_loss.png"}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def run_example(script, directory, *options, **environment):
    """Run an example in a directory, warnings as errors, and return the finished process."""
    # scikit-learn's small products gain nothing from a second BLAS thread, and on a busy machine
    # the two wait for each other for seconds.
    settings = {"PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), *options],
        cwd=directory,
        env={**os.environ, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_there_are_examples():
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_example_runs(script, tmp_path):
    process = run_example(script, tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip()
    picture = PICTURES.get(script.name)
    if picture and importlib.util.find_spec("matplotlib"):
        assert (tmp_path / picture).read_bytes().startswith(PNG_SIGNATURE)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_example_is_in_the_index(script):
    assert f"[`{script.name}`]({script.name})" in (EXAMPLES / "README.md").read_text("utf-8")


def test_quickstart_without_matplotlib(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "matplotlib.py").write_text("raise ImportError('blocked by the test')\n")
    path = os.pathsep.join(filter(None, (str(blocked), os.environ.get("PYTHONPATH"))))

    process = run_example(EXAMPLES / "quickstart.py", tmp_path, PYTHONPATH=path)

    assert process.returncode == 0, process.stderr
    assert "matplotlib is not installed" in process.stdout
    assert not (tmp_path / "quickstart_loss.png").exists()


def test_quickstart_figure_path(tmp_path):
    pytest.importorskip("matplotlib")
    process = run_example(EXAMPLES / "quickstart.py", tmp_path, "--figure", "other.png")
    assert process.returncode == 0, process.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["other.png"]
