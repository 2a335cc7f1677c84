"""The README is run: its Python blocks as they stand, its commands word for word."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
COMMANDS = (
    "python3 -m pip install . && python3 examples/quickstart.py",
    "python3 -m pip install '.[test]' && python3 -m pytest -n 2 --dist worksteal",
)


def fenced_blocks(text, languages):
    """List the fenced code blocks in one of some languages as (first line number, code)."""
    fence = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2]) for match in fence.finditer(text) if match[1] in languages
    ]


def read_blocks(*languages):
    """List the README's blocks; none if there is no README, so that collection does not fail."""
    return fenced_blocks(README.read_text("utf-8"), languages) if README.exists() else []


def test_fenced_blocks():
    text = "a\n```python\nx = 1\n\ny = 2\n```\n```sh\nls\n```\n```\nplain\n```\n```python\nz\n```\n"
    assert fenced_blocks(text, {"python"}) == [(3, "x = 1\n\ny = 2\n"), (14, "z\n")]
    assert fenced_blocks(text, {"sh", "bash"}) == [(8, "ls\n")]


def test_readme_has_python_blocks():
    assert read_blocks("python")


@pytest.mark.parametrize(
    ("line", "code"),
    [pytest.param(*block, id=f"line {block[0]}") for block in read_blocks("python")],
)
def test_python_block_runs(line, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The empty lines make a traceback's line numbers those of the README.
    source = "\n" * (line - 1) + code
    exec(compile(source, str(README), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_gives_command(command):
    blocks = read_blocks("sh", "bash", "shell", "console")
    lines = [line.strip().removeprefix("$ ") for _, code in blocks for line in code.splitlines()]
    assert command in lines
