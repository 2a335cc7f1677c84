"""What the pages say of the sources: files and names in them exist, quoted C code is there, and patches apply."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fenced_blocks import fenced_blocks

ROOT = Path(__file__).parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "fastbp"
PAGES = [*sorted((DOCS / "tutorial").glob("*.md")), *sorted((DOCS / "extending").glob("*.md"))]
PAGES += [DOCS / "architecture.md", ROOT / "CONTRIBUTING.md"]
PATCHES = sorted((DOCS / "extending" / "patches").glob("*.patch"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

#: `kernels/step.h`, from the package or from the root of the repository; also in a command, such as `.ci/style --fix`
FILE = re.compile(
    r"`(?:python3? )?((?:[\w.]+/)*[\w.]+\.(?:py|pyx|h|c|json|md|toml|cff)|(?:[\w.]+/)+|\.ci/[\w.-]+)(?: [^`\n]*)?`"
)
#: `update_tile` in `kernels/step.h`
NAME_IN_FILE = re.compile(r"`(\w+)`\s+(?:in|of)\s+`((?:[\w.]+/)*[\w.]+\.(?:py|pyx|h|c))`")


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def find(path):
    """A file or folder by its path from the package, or from the root."""
    found = [folder / path for folder in (PACKAGE, ROOT) if (folder / path).exists()]
    assert found, f"there is no {path}"
    return found[0]


def test_the_patterns_find_something():
    text = "\n".join(without_blocks(page.read_text("utf-8")) for page in PAGES)
    found = set(FILE.findall(text))
    assert {"kernels/step.h", "tests/reference.py", "kernels/kinds/", ".ci/run", ".ci/style", "CITATION.cff"} <= found
    assert {"tests/sanitizers.py", "benchmarks/instructions.py"} <= found
    assert ("update_tile", "kernels/step.h") in NAME_IN_FILE.findall(text)
    assert len(PATCHES) == 4


@every_page
def test_files_exist(page):
    for path in FILE.findall(without_blocks(page.read_text("utf-8"))):
        find(path)


@every_page
def test_names_are_in_the_files(page):
    for name, path in NAME_IN_FILE.findall(without_blocks(page.read_text("utf-8"))):
        assert re.search(rf"\b{name}\b", find(path).read_text("utf-8")), f"{name} is not in {path}"


@every_page
def test_c_code_is_quoted(page):
    lines = {line.strip() for path in PACKAGE.rglob("*.h") for line in path.read_text("utf-8").splitlines()}
    for number, code in fenced_blocks(page.read_text("utf-8"), ["c"]):
        for line in filter(None, map(str.strip, code.splitlines())):
            assert line in lines, f"{page.name}, block in line {number}: {line}"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_patches_apply(patch):
    """After a change of the sources next to what a patch adds: adapt the patch, build with it and run its tests."""
    run = subprocess.run(["git", "apply", "--check", patch], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_patches_are_shown_whole(patch):
    """The page shows every file of a patch: its pieces begin and end at files, one after the other."""
    files = re.findall(r"^diff --git .*$", patch.read_text("utf-8"), re.MULTILINE)
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    shown = re.findall(rf"patches/{patch.name}\n((?::.*\n)+)", text)
    covered = set()
    for options in shown:
        begin, end = (re.search(rf':{key}: "(.*)"', options) for key in ("start-at", "end-before"))
        first = next(i for i, line in enumerate(files) if begin[1] in line)
        last = next(i for i, line in enumerate(files) if end[1] in line) if end else len(files)
        assert first < last
        covered |= set(range(first, last))
    assert covered == set(range(len(files)))


def test_numbers_in_the_picture_of_the_graph():
    """They are those that the first block of the chapter computes."""
    (_, code), *_ = fenced_blocks((DOCS / "tutorial" / "computational_graph.md").read_text("utf-8"), ["python"])
    names = {}
    exec(code, names)
    picture = (DOCS / "tutorial" / "pictures" / "graph.svg").read_text("utf-8")
    shown = [text.replace("−", "-") for text in re.findall(r'class="(?:for|back)ward-text"[^>]*>([^<]+)<', picture)]
    values = ["x1", "w1", "x2", "w2", "b", "p1", "p2", "z", "a", "y", "error", "C"]
    gradients = ["dx1", "dw1", "dx2", "dw2", "db", "dp1", "dp2", "dz", "da", "derror"]
    expected = [names[name] for name in (*values, *gradients)] + [1.0]  # dC/dC
    assert sorted(map(float, shown)) == pytest.approx(sorted(expected), abs=5e-4)
