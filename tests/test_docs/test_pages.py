"""The Python blocks of the documentation's pages run, those of a page one after the other, warnings as errors.

Blocks in ``py`` need packages that the tests do without.
"""

import re
from pathlib import Path

import pytest

from fenced_blocks import read_blocks, run_block

DOCS = Path(__file__).parents[2] / "docs"
#: Not installed everywhere: a page ends at the first block that imports one that is missing
FURTHER = {"dask", "distributed", "onnxruntime", "skl2onnx"}
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if read_blocks(path, "python", "py")]


def test_there_are_pages():
    assert len(PAGES) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    further = read_blocks(page, "py")
    names = {"__name__": "__main__"}
    for line, code in read_blocks(page, "python", "py"):
        try:
            run_block(page, line, code, names)
        except ModuleNotFoundError as error:
            if (line, code) not in further or error.name.partition(".")[0] not in FURTHER:
                raise
            pytest.skip(f"the block in line {line} needs {error.name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_blocks_import_nothing_private_of_other_packages(page):
    """What differs between the versions of scikit-learn is imported from `fastbp.compatibility`."""
    code = "\n".join(code for _, code in read_blocks(page, "python", "py"))
    imported = re.findall(r"^\s*(?:from|import) ((?!fastbp)[\w.]+)", code, re.MULTILINE)
    assert not [name for name in imported if "._" in name]
