"""The examples in the docstrings give the output that they show."""

import doctest
import importlib
import pkgutil

import pytest

import fastbp

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def examples():
    """Every docstring with examples, by the name of what it documents, each text once."""
    modules = [fastbp, *(importlib.import_module(i.name) for i in pkgutil.walk_packages(fastbp.__path__, "fastbp."))]
    finder, found = doctest.DocTestFinder(exclude_empty=True), {}
    for module in modules:
        for test in finder.find(module, module.__name__):
            # compiled modules list their docstrings a second time, in __test__
            if test.examples and test.docstring not in {other.docstring for other in found.values()}:
                found[test.name] = test
    return found


EXAMPLES = examples()


def test_examples_are_found_in_python_and_in_compiled_modules():
    assert any("Network" in name for name in EXAMPLES)
    assert any("dense_forward" in name for name in EXAMPLES)
    assert any("MLPClassifier" in name for name in EXAMPLES)
    assert any("MLPRegressor" in name for name in EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    output = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(EXAMPLES[name], out=output.append, clear_globs=False)
    assert result.attempted
    assert not result.failed, "".join(output)
