"""The reference lists each public name once, and no other."""

import importlib
import re
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PACKAGES = [
    "fastbp",
    "fastbp.activations",
    "fastbp.autodiff",
    "fastbp.callbacks",
    "fastbp.dask",
    "fastbp.export",
    "fastbp.inspection",
    "fastbp.kernels",
    "fastbp.layers",
    "fastbp.losses",
    "fastbp.optimizers",
    "fastbp.quantization",
    "fastbp.schedules",
    "fastbp.sources",
]


def page_of(package):
    return REFERENCE / f"{package.removeprefix('fastbp.')}.rst"


def listed_names(text):
    """The names in the tables of ``autosummary``, and the constants."""
    tables = re.findall(r"\.\. autosummary::\n(?:   :toctree: generated\n)?\n((?:   [~.\w]+\n)+)", text)
    names = [name for table in tables for name in table.split()] + re.findall(r"\.\. (?:auto)?data:: (\w+)\n", text)
    return [name.rpartition(".")[2] for name in names]


def test_listed_names():
    table = ".. autosummary::\n   :toctree: generated\n\n"
    text = f"a\n\n{table}   Dense\n   Sum\n\nb\n\n{table}   ~fastbp.Layer\n\n.. data:: ALL\n"
    assert listed_names(text) == ["Dense", "Sum", "Layer", "ALL"]


@pytest.mark.parametrize("package", PACKAGES)
def test_page_lists_the_public_names(package):
    text = page_of(package).read_text("utf-8")
    assert f".. currentmodule:: {package}\n" in text
    assert sorted(listed_names(text)) == sorted(importlib.import_module(package).__all__)


def test_each_package_has_a_page():
    assert sorted(REFERENCE.glob("*.rst")) == sorted(map(page_of, PACKAGES))
    index = (REFERENCE / "index.md").read_text("utf-8")
    for package in PACKAGES:
        assert f"| [`{package}`]({page_of(package).name}) |" in index
