"""The stubs beside the compiled modules say what is in them.

`.ci/style` compares them with mypy's stubtest, which sees more of functions and methods, but not the arguments of
constructors: at run time these are ``(*args, **kwargs)``, and Cython writes the signature into the docstring.
"""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import fastbp.kernels

FOLDER = Path(fastbp.kernels.__file__).parent
SOURCES = Path(__file__).parents[2] / "src" / "fastbp" / "kernels"
COMPILED = sorted(path.stem for path in SOURCES.glob("*.pyx"))


def stub_of(module):
    """The statements of a stub by name: functions, the first one of overloads, and classes."""
    tree = ast.parse((FOLDER / f"{module}.pyi").read_text("utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, node)
    return found


def parameters_of(function):
    """The names of the parameters of a function in a stub, and whether each has a default; without self and cls."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    has_default = [False] * (len(positional) - len(arguments.defaults)) + [True] * len(arguments.defaults)
    found = dict(zip((argument.arg for argument in positional), has_default, strict=True))
    found |= {
        argument.arg: default is not None
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }
    found |= {argument.arg: False for argument in (arguments.vararg, arguments.kwarg) if argument is not None}
    return {name: default for name, default in found.items() if name not in ("self", "cls")}


def parameters_at_run_time(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default is not p.empty for p in parameters if p.name not in ("self", "cls")}


def parameters_of_constructor(cls):
    """The same from the docstring of a compiled class, which begins with ``Name(type argument, argument=default)``.

    None where the constructor is a ``__cinit__``, whose signature Cython does not write.
    """
    first, _, _ = inspect.getdoc(cls).partition("\n")
    if not first.startswith(f"{cls.__name__}("):
        return None
    arguments = first.removeprefix(f"{cls.__name__}(").removesuffix(")").split(", ")
    without_types = ", ".join(argument.split()[-1] for argument in arguments if argument)
    return parameters_of(ast.parse(f"def constructor({without_types}): ...").body[0])


def own(module, is_kind):
    """The public names of a module that it defines itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if is_kind(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def test_every_compiled_module_has_a_stub():
    assert [path.stem for path in sorted(SOURCES.glob("*.pyi"))] == COMPILED


@pytest.mark.parametrize("name", COMPILED)
def test_functions_are_those_of_the_stub(name):
    module, stub = importlib.import_module(f"fastbp.kernels.{name}"), stub_of(name)
    functions = own(module, lambda value: callable(value) and not inspect.isclass(value))
    declared = {n: node for n, node in stub.items() if isinstance(node, ast.FunctionDef)}
    assert {n: parameters_of(node) for n, node in declared.items()} == {
        n: parameters_at_run_time(function) for n, function in functions.items()
    }


@pytest.mark.parametrize("name", COMPILED)
def test_constructors_are_those_of_the_stub(name):
    module, stub = importlib.import_module(f"fastbp.kernels.{name}"), stub_of(name)
    classes = own(module, inspect.isclass)
    assert set(classes) == {n for n, node in stub.items() if isinstance(node, ast.ClassDef)}
    for n, cls in classes.items():
        methods = {node.name: node for node in stub[n].body if isinstance(node, ast.FunctionDef)}
        found = parameters_of_constructor(cls)
        if found is None:
            assert "__init__" not in methods, n
        else:
            assert (parameters_of(methods["__init__"]) if "__init__" in methods else {}) == found, n
