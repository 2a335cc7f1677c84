"""The structure of the package: imports, names in ``__all__``, docstrings, unfinished code."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp
import fastbp.activations
import fastbp.autodiff
import fastbp.callbacks
import fastbp.dask
import fastbp.export
import fastbp.importing
import fastbp.inspection
import fastbp.kernels
import fastbp.layers
import fastbp.losses
import fastbp.optimizers
import fastbp.quantization
import fastbp.schedules
import fastbp.sources
from sklearn_versions import RELEASE

SRC = Path(__file__).parents[1] / "src"
PYTHON = sorted((SRC / "fastbp").rglob("*.py"))
CYTHON = sorted((SRC / "fastbp").rglob("*.py[xd]"))
SOURCES = sorted({*PYTHON, *CYTHON, *(SRC / "fastbp").rglob("*.[ch]")})

# The packages whose callables users call, each of them described with its parameters
PUBLIC = [
    fastbp,
    fastbp.activations,
    fastbp.callbacks,
    fastbp.dask,
    fastbp.export,
    fastbp.importing,
    fastbp.inspection,
    fastbp.kernels,
    fastbp.layers,
    fastbp.losses,
    fastbp.optimizers,
    fastbp.quantization,
    fastbp.schedules,
    fastbp.sources,
]

# All modules and packages by levels: each imports from lower levels and from its own package only.
LEVELS = [
    {"fastbp.kernels", "fastbp.autodiff", "fastbp.compatibility"},
    {"fastbp.mapped"},
    {
        "fastbp.data",
        "fastbp.initializers",
        "fastbp.parametrized",
        "fastbp.penalty",
        "fastbp.sources",
        "fastbp.threads",
        "fastbp.versions",
        "fastbp.writing",
    },
    {"fastbp.activations", "fastbp.derivatives", "fastbp.optimizers", "fastbp.schedules"},
    {"fastbp.layers", "fastbp.losses"},
    {"fastbp.checks"},
    {"fastbp.base_network"},
    {"fastbp.network"},
    {"fastbp.training"},
    {"fastbp.callbacks", "fastbp.progress"},
    {"fastbp.config", "fastbp.estimators"},
    {"fastbp.quantization"},
    {"fastbp.dask", "fastbp.export", "fastbp.files", "fastbp.importing", "fastbp.inspection"},
    {"fastbp"},
]

# Imported only when they are used: by a display, a report of a data frame, a progress bar, a callback
OPTIONAL = {
    "fastbp.inspection": {"matplotlib", "pandas"},
    "fastbp.progress": {"rich", "tqdm"},
    "fastbp.callbacks": {"optuna"},
    "fastbp.export": {"onnx", "skl2onnx"},
    "fastbp.files": {"safetensors"},
    "fastbp.dask": {"dask", "distributed", "pandas"},
    "fastbp.sources": {"pyarrow"},
}


def module_of(path):
    """The dotted name of a source file."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def level_of(module):
    """(number of the level, its entry in LEVELS)."""
    for number, entries in enumerate(LEVELS):
        for entry in entries:
            if module == entry or (entry != "fastbp" and module.startswith(entry + ".")):
                return number, entry
    raise AssertionError(f"{module} is missing in LEVELS")


def python_imports(path):
    """(line, module) of every import, those inside functions and behind conditions included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name if is_module(name) else node.module) for name in names]
    return found


def is_module(name):
    path = SRC / Path(*name.split("."))
    return path.is_dir() or any(path.with_suffix(ending).exists() for ending in (".py", ".pyx"))


def cython_imports(path):
    pattern = re.compile(r"^[ \t]*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", re.MULTILINE)
    text = path.read_text("utf-8")
    return [(text[: m.start()].count("\n") + 1, m[1] or m[2]) for m in pattern.finditer(text)]


IMPORTS = [
    (path, line, name)
    for path in [*PYTHON, *CYTHON]
    for line, name in (python_imports if path.suffix == ".py" else cython_imports)(path)
]


def test_the_search_for_imports_finds_them():
    known = {(module_of(path), name) for path, _, name in IMPORTS}
    assert ("fastbp.network", "fastbp.layers") in known
    assert ("fastbp.kernels.dense", "fastbp.kernels.dispatch") in known
    assert ("fastbp.kernels.training", "libc.math") in known


@pytest.mark.parametrize("path", [*PYTHON, *CYTHON], ids=lambda path: str(path.relative_to(SRC)))
def test_imports_go_down(path):
    level, entry = level_of(module_of(path))
    for importer, line, name in IMPORTS:
        if importer == path and name.split(".")[0] == "fastbp":
            other_level, other_entry = level_of(name)
            assert other_level < level or other_entry == entry, f"{path}:{line} imports {name}"


#: Known to Cython, and nothing that is imported at run time: declarations, and directives of the compiler
OF_CYTHON = {"libc", "cpython", "cython"}


def test_the_kernels_import_numpy_only():
    allowed = {*sys.stdlib_module_names, *OF_CYTHON, "numpy", "fastbp"}
    for path, line, name in IMPORTS:
        if module_of(path).startswith("fastbp.kernels"):
            assert name.split(".")[0] in allowed, f"{path}:{line} imports {name}"


def private_names(path):
    """(line, name) of every import of what scikit-learn marks as private by an underscore."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("sklearn.") and any(part.startswith("_") for part in name.split(".")):
                yield node.lineno, name


def test_private_parts_of_scikit_learn_are_imported_in_one_place():
    # where all of them are found out for every version
    compatibility = SRC / "fastbp/compatibility.py"
    found = {name for _, name in private_names(compatibility)}
    assert {"sklearn.base._fit_context", "sklearn.utils._param_validation.Interval"} <= found
    for path in PYTHON:
        if path != compatibility:
            assert not list(private_names(path)), f"{path} imports private names: use fastbp.compatibility"


def test_no_other_package_is_needed():
    # joblib comes with scikit-learn
    allowed = {*sys.stdlib_module_names, "numpy", "scipy", "sklearn", "joblib", "fastbp", *OF_CYTHON}
    for path, line, name in IMPORTS:
        is_optional = name.split(".")[0] in OPTIONAL.get(level_of(module_of(path))[1], ())
        assert name.split(".")[0] in allowed or is_optional, f"{path}:{line} imports {name}"


@pytest.mark.skipif(RELEASE < (1, 9), reason="older versions of scikit-learn take a None in sys.modules for pandas")
def test_what_is_optional_is_imported_late():
    # as if they were not installed; scikit-learn imports those that are
    names = set().union(*OPTIONAL.values())
    code = f"import sys; sys.modules.update(dict.fromkeys({names})); import {', '.join(OPTIONAL)}"
    subprocess.run([sys.executable, "-c", code], check=True)


MODULES = [importlib.import_module(info.name) for info in pkgutil.walk_packages(fastbp.__path__, prefix="fastbp.")] + [
    fastbp
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_names_in_all_exist(module):
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for name in names:
        assert hasattr(module, name)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_has_a_docstring(module):
    assert module.__doc__
    assert module.__doc__.strip()


def takes_parameters(function):
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return bool(names)


def public_callables():
    """(name, object) of all that users call: what the public packages export, with the methods of classes."""
    found = {}
    for module in PUBLIC:
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                found[f"{module.__name__}.{name}"] = value
            if inspect.isclass(value):
                for method, member in inspect.getmembers(value, callable):
                    if not method.startswith("_") and (getattr(member, "__module__", None) or "").startswith("fastbp"):
                        found[f"{module.__name__}.{name}.{method}"] = member
    return found


@pytest.mark.parametrize("name", public_callables())
def test_public_callables_are_documented(name):
    value = public_callables()[name]
    doc = inspect.getdoc(value)
    assert doc, f"{name} has no docstring"
    if takes_parameters(value):
        assert re.search(r"^Parameters\n-{10}$", doc, re.MULTILINE), f"{name} does not describe its parameters"


def python_functions(value):
    """The functions in Python behind a public name: itself, or the public methods and properties of a class."""
    members = [value]
    if inspect.isclass(value):
        owned = [vars(cls) for cls in value.__mro__ if cls.__module__.startswith("fastbp")]
        members = [m for members in owned for name, m in members.items() if not name.startswith("_")]
    for member in members:
        for wrapper in ("fget", "__func__", "fn"):  # of properties, class methods, and `available_if`
            member = getattr(member, wrapper, member)
        function = inspect.unwrap(member) if callable(member) else None
        if inspect.isfunction(function) and function.__module__.startswith("fastbp"):
            yield function


@pytest.mark.parametrize("module", [*PUBLIC, fastbp.autodiff], ids=lambda module: module.__name__)
def test_public_functions_have_types(module):
    values = [getattr(module, name) for name in module.__all__]
    functions = [function for value in values for function in python_functions(value)]
    for function in functions:
        parameters = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
        for name in [*parameters, "return"]:
            assert name in function.__annotations__, (
                f"{function.__module__}.{function.__qualname__}: {name} has no type"
            )


def definitions(body):
    """The functions and classes of a module, and the methods of its classes, without those inside functions."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body)


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(SRC)))
def test_what_has_a_public_name_has_a_docstring(path):
    for node in definitions(ast.parse(path.read_text("utf-8")).body):
        # the docstring of a property is that of its getter, that of overloads that of what they declare
        decorators = {getattr(d, "attr", getattr(d, "id", None)) for d in node.decorator_list}
        if not (node.name.startswith("_") or decorators & {"setter", "overload"}):
            assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SRC)))
def test_nothing_is_left_undone(path):
    text = path.read_text("utf-8")
    for word in ("TODO", "FIXME", "XXX", "HACK", "NotImplementedError"):
        assert word not in text, f"{path} says {word}"
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            is_declaration = {"abstractmethod", "overload"} & set(map(ast.unparse, getattr(node, "decorator_list", ())))
            if isinstance(node, ast.FunctionDef) and not is_declaration:
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert [ast.dump(s) for s in body] not in ([], ["Pass()"]), f"{path}:{node.lineno} {node.name} is empty"
