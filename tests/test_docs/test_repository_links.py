"""Links in Markdown: what the site makes of paths in the repository."""

import importlib
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
repository_links = importlib.import_module("repository_links")

ROOT = Path(__file__).parents[2]
PAGES = {"RELIABILITY.md": "reliability.md", "examples/quickstart.py": "gallery/quickstart.rst"}
WEB = "https://example.org/fastbp"


def resolve(target, file, is_image=False):
    return repository_links.Resolver(ROOT, ROOT / "docs", PAGES, WEB)(target, is_image, file=ROOT / file)


@pytest.mark.parametrize(
    ("file", "target", "expected"),
    [
        ("README.md", "docs/tables.md", "/tables.md"),
        ("README.md", "docs/tables.md#save", "/tables.md#save"),
        ("README.md", "RELIABILITY.md#threads", "/reliability.md#threads"),
        ("docs/tables.md", "guide/index.md", "/guide/index.md"),
        ("docs/guide/index.md", "../../examples/quickstart.py", "/gallery/quickstart.rst"),
        ("docs/tables.md", "../LICENSE", f"{WEB}/blob/main/LICENSE"),
        ("docs/tables.md", "../benchmarks/results", f"{WEB}/tree/main/benchmarks/results"),
        ("README.md", "#speed", "#speed"),
        ("README.md", "https://example.com/a", "https://example.com/a"),
    ],
)
def test_targets(file, target, expected):
    assert resolve(target, file) == expected


def test_pictures_stay_files():
    assert resolve("benchmarks/results/speed.svg", "README.md", True) == "/../benchmarks/results/speed.svg"


def test_a_path_without_a_file_is_a_warning(monkeypatch):
    messages = []
    monkeypatch.setattr(repository_links.logger, "warning", lambda text, *values, location: messages.append(values))
    assert resolve("docs/nowhere.md", "README.md") == "docs/nowhere.md"
    assert messages == [("docs/nowhere.md",)]


def test_links_outside_of_code_are_rewritten():
    upper = partial(repository_links.rewrite_links, resolve=lambda target, is_image: target.upper() + "!" * is_image)
    assert upper("[a](b) and ![two\nlines](c), [`d`](e)") == "[a](B) and ![two\nlines](C!), [`d`](E)"
    assert upper("`[a](b)` and ``[a](b)``") == "`[a](b)` and ``[a](b)``"
    assert upper("```python\nx[0](b)\n```\n[a](b)\n") == "```python\nx[0](b)\n```\n[a](B)\n"
