"""Pages that lead to others list them in a table, which the repository's web view shows, and in a hidden toctree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]
#: The first page has cards
INDEXES = [path for path in PAGES if path != DOCS / "index.md" and "{toctree}" in path.read_text("utf-8")]

each_index = pytest.mark.parametrize("page", INDEXES, ids=lambda page: str(page.relative_to(DOCS)))


def toctrees(page):
    """list of (options, list of the pages' files).

    A page that includes a file of the repository stands for that file.
    """
    found = []
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        entries = [line for line in lines if line and not line.startswith(":")]
        found.append(([line for line in lines if line.startswith(":")], [file_of(page, entry) for entry in entries]))
    return found


def file_of(page, entry):
    entry = re.sub(r".*<(.*)>", r"\1", entry)
    paths = [(page.parent / f"{entry}{suffix}").resolve() for suffix in (".md", ".rst")]
    (path,) = filter(Path.exists, paths)
    included = re.fullmatch(r"```\{include\} (\S+)\n```\n", path.read_text("utf-8"))
    return (path.parent / included[1]).resolve() if included else path


def test_there_are_indexes():
    names = {path.relative_to(DOCS).as_posix() for path in INDEXES}
    assert {"guide/index.md", "development.md", "tutorial/index.md"} <= names


@each_index
def test_the_table_has_the_pages_of_the_toctree(page):
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| [")]
    linked = [(page.parent / re.match(r"\| \[.*?\]\(([^)#]*)", row)[1]).resolve() for row in rows]
    listed = [path for _, paths in toctrees(page) for path in paths]
    assert listed
    assert list(dict.fromkeys(linked)) == listed
    assert all(":hidden:" in options for options, _ in toctrees(page)), "its code is all that the web view shows"
