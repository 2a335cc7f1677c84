"""The examples run without a warning, write pictures when matplotlib is installed, and are listed in their README."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import warm_python
from sklearn_versions import RELEASE

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Examples that show something newer than the oldest scikit-learn that fastbp supports: calibration by temperature
NEEDED = {"09_in_a_pipeline.py": (1, 8)}

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


# scikit-learn's small products gain nothing from a second BLAS thread, and on a busy machine the two wait for each
# other for seconds; the OpenMP threads of its boosting even for minutes
SETTINGS = {"PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def run_example(script, directory, *options):
    """Run an example in a directory, warnings as errors, and return the finished process."""
    return warm_python.run([script, *options], cwd=directory, **SETTINGS)


def check_picture(path):
    """It is a PNG that matplotlib can read, and not all of one colour."""
    from matplotlib.image import imread

    assert path.read_bytes().startswith(PNG_SIGNATURE)
    pixels = imread(path)
    assert np.ptp(pixels, axis=(0, 1)).max() > 0, f"{path.name} is blank"


def test_there_are_examples():
    assert SCRIPTS


@each_script
def test_example_runs(script, tmp_path):
    if NEEDED.get(script.name, RELEASE) > RELEASE:
        pytest.skip("the example needs scikit-learn {}.{}".format(*NEEDED[script.name]))
    process = run_example(script, tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip()

    left_behind = sorted(tmp_path.iterdir())
    strangers = [file.name for file in left_behind if not file.name.startswith(script.stem)]
    assert not strangers, f"an example leaves nothing but files named after it, found {strangers}"
    if importlib.util.find_spec("matplotlib"):
        pictures = [file for file in left_behind if file.suffix == ".png"]
        assert 1 <= len(pictures) <= 2, "one or two pictures"
        for picture in pictures:
            check_picture(picture)


@each_script
def test_example_imports_matplotlib_for_the_picture_only(script):
    """matplotlib is optional: what an example computes and checks must run without it."""
    statements = ast.parse(script.read_text("utf-8")).body
    imported = [alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module for node in statements if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imported if name.partition(".")[0] == "matplotlib"]


def test_index_names_every_example_and_no_other():
    index = (EXAMPLES / "README.md").read_text("utf-8")
    assert set(re.findall(r"\[`(\w+\.py)`\]\(\1\)", index)) == {script.name for script in SCRIPTS}


# one for each way of leaving the picture out
@pytest.mark.parametrize("name", ["quickstart", "02_computational_graph", "10_quantiles_and_counts"])
def test_without_matplotlib(name, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "matplotlib.py").write_text("raise ImportError('blocked by the test')\n")
    path = os.pathsep.join(filter(None, (str(blocked), os.environ.get("PYTHONPATH"))))

    # a new interpreter: here, nothing is imported beforehand
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env={**os.environ, **SETTINGS, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert process.returncode == 0, process.stderr
    assert "matplotlib is not installed" in process.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["blocked"]


def test_classic_tutorial_on_a_table_of_ones_own(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "08_classic_tutorial_irises.csv"
    path.write_text("".join(f"{','.join(map(str, row))},{'abc'[label]}\n" for row, label in zip(X, y, strict=True)))
    process = run_example(EXAMPLES / "08_classic_tutorial.py", tmp_path, path.name)
    assert process.returncode == 0, process.stderr
    assert "4-5-3 net, 60,000 steps" in process.stdout
    means = [float(mean) for mean in re.findall(r"mean ([\d.]+) %", process.stdout)]
    assert len(means) == 2
    assert min(means) > 90


def test_quickstart_figure_path(tmp_path):
    pytest.importorskip("matplotlib")
    process = run_example(EXAMPLES / "quickstart.py", tmp_path, "--figure", "other.png")
    assert process.returncode == 0, process.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["other.png"]
