"""The recipes, which use other packages: each runs without a warning where its packages are installed, and is listed in
their README with what it needs, which is also in the extra `recipes`."""

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

import warm_python
from sklearn_versions import RELEASE

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "examples/recipes"
SCRIPTS = sorted(RECIPES.glob("*.py"))
EXTRA = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["recipes"]

#: Names of packages whose modules have another name
PACKAGES = {"imblearn": "imbalanced-learn"}
#: Packages that a recipe uses only through another one: DuckDB hands its results over by pyarrow
INDIRECT = {"duckdb_to_fit_batches.py": {"pyarrow"}}
#: Recipes that show something newer than the oldest scikit-learn that fastbp supports: calibration by temperature, and
#: names of columns of polars 2
NEEDED = {"calibration.py": (1, 8), "polars_frames.py": (1, 9)}
#: Modules that fastbp itself needs
OF_FASTBP = {"fastbp", "numpy", "scipy", "sklearn"}

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


def optional_modules(script):
    """The top-level modules that a script imports, without those that fastbp needs and those of Python."""
    nodes = list(ast.walk(ast.parse(script.read_text("utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names} - OF_FASTBP - set(sys.stdlib_module_names)


def needs_in_readme():
    """dict of str to set of str: the last column of the table, by script."""
    rows = re.findall(r"^\| \[`(\w+\.py)`\]\(\1\) \|.*\|([^|]*)\|$", (RECIPES / "README.md").read_text("utf-8"), re.M)
    return {name: set(filter(None, needs.strip().split(", "))) for name, needs in rows}


def test_there_are_recipes():
    assert SCRIPTS


@each_script
def test_recipe_runs(script, tmp_path):
    if NEEDED.get(script.name, RELEASE) > RELEASE:
        pytest.skip("the recipe needs scikit-learn {}.{}".format(*NEEDED[script.name]))
    missing = [name for name in sorted(optional_modules(script)) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    process = warm_python.run([script], cwd=tmp_path, PYTHONWARNINGS="error", OPENBLAS_NUM_THREADS="1")
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip()
    assert not list(tmp_path.iterdir())


def test_the_readme_names_every_recipe_and_what_it_needs():
    needs = needs_in_readme()
    assert needs.keys() == {script.name for script in SCRIPTS}
    for script in SCRIPTS:
        packages = {PACKAGES.get(name, name) for name in optional_modules(script)}
        release = ["scikit-learn {}.{}".format(*NEEDED[script.name])] if script.name in NEEDED else []
        assert needs[script.name] == packages.union(INDIRECT.get(script.name, ()), release), script.name


def test_the_extra_has_all_packages():
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in EXTRA}
    needs = set().union(*needs_in_readme().values())
    assert names == {name for name in needs if not name.startswith("scikit-learn ")}
