"""The build: files that it leaves behind and warnings of the compiler; `setup.py` and the C sources."""

import os
import platform
import runpy
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import setuptools
from setuptools._distutils.ccompiler import new_compiler
from setuptools._distutils.sysconfig import customize_compiler
from setuptools.dist import Distribution
from setuptools.errors import CompileError

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "src/fastbp/kernels"
AVX2_FLAGS = ["-mavx2", "-mfma"]
ISA_FLAGS = {
    "baseline": [],
    "avx2": AVX2_FLAGS,
    "avx512": [*AVX2_FLAGS, "-mavx512f", "-mavx512dq", "-mavx512vl"],
}


def gnu_compilers():
    """The command lines of GCC and Clang that are found: the configured one, and those of other names."""
    configured = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
    found = {}
    for command in [shlex.split(configured)[:2], ["gcc"], ["clang"]]:
        command = [word for word in command if not word.startswith("-")]
        if command and all(shutil.which(word) for word in command) and not command[-1].endswith("cl"):
            found[command[-1]] = command
    return found


@pytest.fixture
def build_kernels(monkeypatch):
    """The build command of setup.py, which is run without building."""
    monkeypatch.setattr(setuptools, "setup", lambda **options: None)
    monkeypatch.chdir(ROOT)
    return runpy.run_path(str(ROOT / "setup.py"))["BuildKernels"]


@pytest.mark.skipif(not gnu_compilers(), reason="no C compiler is found")
def test_the_probe_of_the_compiler_leaves_no_file(build_kernels, tmp_path, monkeypatch):
    command = build_kernels(Distribution())
    # as `pip install -e .` builds: in a folder for temporary files outside of the checkout
    (tmp_path / "checkout").mkdir()
    command.build_temp = str(tmp_path / "temporary")
    command.compiler = new_compiler()
    customize_compiler(command.compiler)
    monkeypatch.chdir(tmp_path / "checkout")
    compiled, compile_sources = [], command.compiler.compile
    monkeypatch.setattr(
        command.compiler, "compile", lambda *a, **o: compiled.extend(compile_sources(*a, **o)), raising=True
    )
    command.check_compiler()
    assert len(compiled) == 1
    assert os.listdir() == []


@pytest.mark.parametrize("name", gnu_compilers())
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("isa", ISA_FLAGS)
@pytest.mark.parametrize("source", ["kernels.c", "probe_kernels.c"])
def test_the_kernels_compile_without_a_warning(source, name, isa, real):
    flags = ISA_FLAGS[isa] if platform.machine().lower() in ("x86_64", "amd64") else []
    macros = {"FASTBP_DOUBLE": int(real == "double"), "FASTBP_TABLE": "table", "FASTBP_FLAGS": '""'}
    compile_without_warning(name, source, macros, flags)


@pytest.mark.parametrize("name", gnu_compilers())
@pytest.mark.parametrize("source", ["tables.c", "probe_tables.c"])
def test_the_tables_of_names_compile_without_a_warning(source, name):
    compile_without_warning(name, source, {"FASTBP_VERSION": '"0"'}, [])


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="for x86-64 only")
@pytest.mark.parametrize("name", gnu_compilers())
def test_the_table_of_bfloat16_compiles_without_a_warning(name):
    flags = [*ISA_FLAGS["avx512"], "-mavx512bw", "-mavx512bf16"]
    macros = {"FASTBP_DOUBLE": 0, "FASTBP_BFLOAT16": 1, "FASTBP_TABLE": "table", "FASTBP_FLAGS": '""'}
    compile_without_warning(name, "kernels.c", macros, flags)
    compile_without_warning(name, "tables.c", {"FASTBP_VERSION": '"0"', "FASTBP_HAS_BFLOAT16": 1}, [])


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Darwin",
    reason="no processor of this system has the instructions",
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_compiler_that_does_not_know_bfloat16(build_kernels, is_known, monkeypatch):
    """As GCC 9: the package is built without the table."""
    command = build_kernels(Distribution())
    command.compiler = new_compiler()
    seen = []

    def compile_sources(sources, **options):
        seen.extend(options["extra_postargs"])
        assert "_mm512_dpbf16_ps" in Path(sources[0]).read_text()
        if not is_known:
            raise CompileError("gcc: error: unrecognized command-line option '-mavx512bf16'")
        return []

    monkeypatch.setattr(command.compiler, "compile", compile_sources)
    assert command.compiles_bfloat16() is is_known
    assert "-mavx512bf16" in " ".join(seen)


def compile_without_warning(name, source, macros, flags):
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    options += [f"-D{macro}={value}" for macro, value in macros.items()]
    process = subprocess.run(
        [*gnu_compilers()[name], *options, *flags, KERNELS / source], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr


def test_the_project_names_its_pages():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert {"Homepage", "Source", "Issues"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())
