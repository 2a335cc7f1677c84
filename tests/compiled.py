"""Cython modules that are compiled for a test, as users compile theirs: with the installed declarations and headers."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import fastbp.kernels

HEADERS = Path(fastbp.kernels.get_include())
# the package under test, also where it was named by a path relative to another directory
PACKAGE_ROOT = str(HEADERS.parents[1])

SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

name, headers, package_root = sys.argv[-3:]
del sys.argv[-3:]
extension = Extension(name, [f"{name}.pyx"], include_dirs=[headers])
directives = {"freethreading_compatible": True}  # else importing the module would turn the GIL on
setup(name=name, ext_modules=cythonize([extension], include_path=[package_root], compiler_directives=directives))
"""


def has_compiler():
    """Whether a C compiler is found."""
    configured = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split()
    return any(shutil.which(name) for name in [*configured[:1], "cc", "gcc", "clang", "cl"])


def run_python(folder, *arguments):
    """Run an interpreter in a folder; it must succeed."""
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def compile_module(folder, name, source):
    """Compile the source of a Cython module in a folder, where it can be imported from."""
    (folder / f"{name}.pyx").write_text(source)
    (folder / "setup.py").write_text(SETUP)
    run_python(folder, "setup.py", "build_ext", "--inplace", name, HEADERS, PACKAGE_ROOT)


def import_module(folder, name):
    """The module that was compiled in a folder."""
    (path,) = (path for path in folder.glob(f"{name}.*") if path.suffix in (".so", ".pyd"))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
