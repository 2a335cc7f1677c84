"""Fenced code blocks of Markdown, and how tests run those in Python."""

import re


def fenced_blocks(text, languages):
    """List the fenced code blocks in one of some languages as (first line number, code)."""
    fence = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2]) for match in fence.finditer(text) if match[1] in languages
    ]


def read_blocks(path, *languages):
    """List the blocks of a file; none if there is no file, so that collection does not fail."""
    return fenced_blocks(path.read_text("utf-8"), languages) if path.exists() else []


def run_block(path, line, code, names):
    """Run a block that begins in some line of a file. A traceback has the line numbers of the file."""
    exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)
