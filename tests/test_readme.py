"""The README is run: its Python blocks, each as it stands, and its commands word for word."""

from pathlib import Path

import pytest

from fenced_blocks import fenced_blocks, read_blocks, run_block

README = Path(__file__).parents[1] / "README.md"
COMMANDS = (
    "python3 -m pip install . && python3 examples/quickstart.py",
    "python3 -m pip install '.[test]' && python3 -m pytest -n 2 --dist worksteal",
    "python3 -m pip install '.[docs]' && python3 -m sphinx -W --keep-going docs docs/_build",
)


def test_fenced_blocks():
    text = "a\n```python\nx = 1\n\ny = 2\n```\n```sh\nls\n```\n```\nplain\n```\n```python\nz\n```\n"
    assert fenced_blocks(text, {"python"}) == [(3, "x = 1\n\ny = 2\n"), (14, "z\n")]
    assert fenced_blocks(text, {"sh", "bash"}) == [(8, "ls\n")]


def test_readme_has_python_blocks():
    assert read_blocks(README, "python")


@pytest.mark.parametrize(
    ("line", "code"),
    [pytest.param(*block, id=f"line {block[0]}") for block in read_blocks(README, "python")],
)
def test_python_block_runs(line, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_block(README, line, code, {"__name__": "__main__"})


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_gives_command(command):
    blocks = read_blocks(README, "sh", "bash", "shell", "console")
    lines = [line.strip().removeprefix("$ ") for _, code in blocks for line in code.splitlines()]
    assert command in lines
