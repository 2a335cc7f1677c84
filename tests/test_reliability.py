"""RELIABILITY.md: its table has all rows, and the tests that it names exist and are marked."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "RELIABILITY.md"
N_ROWS = 60

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests run without the project's pages")


def numbers_of(decorators):
    """The rows that a test's decorators, or a module's pytestmark, name."""
    calls = [node for tree in decorators for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {call.args[0].value for call in calls if ast.unparse(call.func) == "pytest.mark.fault"}


def marked_tests():
    """{test: rows that its markers name}, for all tests; a test is "path::name" with the path relative to tests/."""
    tests = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        body = ast.parse(path.read_text("utf-8")).body
        marks = [
            node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        ]
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                name = f"{path.relative_to(TESTS).as_posix()}::{node.name}"
                tests[name] = numbers_of(node.decorator_list + marks)
    return tests


def table():
    """(number, fault, outcome, names of tests) of each row."""
    lines = re.findall(r"^\| (\d+) \|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [(int(number), fault.strip(), outcome.strip(), named(tests)) for number, fault, outcome, tests in lines]


def named(text):
    """The tests that a text names."""
    return re.findall(r"`([\w/]+\.py::\w+)`", text)


def test_nothing_is_left_to_fill_in():
    assert not re.search(r"@\w+@|TODO", PAGE.read_text("utf-8"))


def test_every_row_is_there():
    rows = table()
    assert [row[0] for row in rows] == list(range(1, N_ROWS + 1))
    assert all(fault and outcome for _, fault, outcome, _ in rows)


def test_every_named_test_exists():
    names = set(named(PAGE.read_text("utf-8")))
    assert names
    assert not names - set(marked_tests())


@pytest.mark.parametrize("module", ["test_dask/test_lost_workers.py", "test_files/test_damage.py"])
def test_the_page_names_tests_of(module):
    assert [test for test in named(PAGE.read_text("utf-8")) if test.startswith(module)]


def test_every_promise_names_a_test():
    # but for what is no promise, or cannot be tested
    page = PAGE.read_text("utf-8")
    promises = re.findall(r"^- .*(?:\n  .*)*", page, re.MULTILINE)
    without = [promise for promise in promises if not named(promise)]
    assert len(promises) > 30
    assert len(without) <= 3, without


def test_the_tests_of_every_row_are_marked():
    marked = marked_tests()
    for number, _, _, tests in table():
        assert tests, f"row {number} names no test"
        for test in tests:
            assert number in marked[test], f"{test} needs the mark fault({number})"


def test_every_mark_has_its_row():
    for test, numbers in marked_tests().items():
        assert numbers <= set(range(1, N_ROWS + 1)), test
