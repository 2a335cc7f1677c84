"""The page of the examples lists each of them once."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page_lists_each_example():
    text = (ROOT / "docs" / "examples.rst").read_text("utf-8")
    listed = re.findall(r"^   \.\./examples/(\S+\.py)$", text, re.MULTILINE)
    examples = (ROOT / "examples").rglob("*.py")
    assert sorted(listed) == sorted(path.relative_to(ROOT / "examples").as_posix() for path in examples)
