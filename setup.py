"""Builds the compiled core, and makes the page of the package index of the README. All else stands in pyproject.toml.

The kernels (kernels.c, probe_kernels.c and quantized_kernels.c in src/fastbp/kernels) are compiled once for each
instruction set and each real type, and the choice between them is made at run time: what is built here runs on every
processor of its architecture.
"""

import json
import os
import platform
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

KERNELS = "src/fastbp/kernels"
ISA_FLAGS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx2", "-mfma", "-mavx512f", "-mavx512dq", "-mavx512vl"],
}
# vnni: in place of avx512 for products of integers of 8 bits
INTEGER_FLAGS = {
    "baseline": [],
    "avx2": ISA_FLAGS["avx2"],
    "vnni": [*ISA_FLAGS["avx512"], "-mavx512bw", "-mavx512vnni"],
}


def for_this_platform(flags_of):
    """The flags of the instruction sets that there are on this platform."""
    if sys.platform == "darwin":
        # One build there may be for both architectures: the flags are for the x86-64 half, and in the other half the
        # tables that they belong to are not used (tables.c).
        return {isa: [part for flag in flags for part in ("-Xarch_x86_64", flag)] for isa, flags in flags_of.items()}
    return flags_of if platform.machine().lower() in ("x86_64", "amd64") else {"baseline": []}


ISA_FLAGS, INTEGER_FLAGS = for_this_platform(ISA_FLAGS), for_this_platform(INTEGER_FLAGS)
# Of the table of float with matrix products in bfloat16. Older compilers, such as GCC 9, do not know the flags, and no
# Mac has the instructions: the package is built without this table then.
BFLOAT16_FLAGS = {
    isa: [*flags, "-mavx512bw", "-mavx512bf16"]
    for isa, flags in ISA_FLAGS.items()
    if isa == "avx512" and sys.platform != "darwin"
}

# -ffp-contract=fast: a * b + c is one fused multiply-add. Never -ffast-math: it assumes NaN away, and with older
# compilers a shared object linked with it changes how the whole process treats denormal numbers.
FLOAT_FLAGS = ["-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]

# What a module must be built anew for, beside its own source
KERNEL_SOURCES = [str(path) for path in sorted(Path(KERNELS).rglob("*.[hc]"))]

MODULES = [
    "dispatch",
    "activations",
    "dense",
    "losses",
    "optimizers",
    "data",
    "patience",
    "shuffling",
    "forks",
    "quantized",
    "program",
    "workers",
    "pool",
    "plan",
    "team",
    "team_tuner",
    "training",
    "predictor",
    "linearization",
    "line_search",
    "lbfgs",
    "probes",
]


class Tables(NamedTuple):
    """The tables of functions of a module: one for each instruction set and each real type."""

    name: str
    source: str  # fills a table
    choice: str  # chooses among the tables
    flags_of: dict  # instruction set -> flags
    flags: tuple = ()  # of all of them, in addition
    reals: tuple = ("float", "double")


# module -> its tables. Those of "quantized" have no multiply-adds, so that results are the same with all of them.
TABLES = {
    "dispatch": Tables("kernels", "kernels.c", "tables.c", ISA_FLAGS),
    "probes": Tables("probes", "probe_kernels.c", "probe_tables.c", ISA_FLAGS),
    "quantized": Tables(
        "quantized", "quantized_kernels.c", "quantized_tables.c", INTEGER_FLAGS, ("-ffp-contract=off",), ("float",)
    ),
}
#: In addition, where it can be compiled
BFLOAT16 = TABLES["dispatch"]._replace(flags_of=BFLOAT16_FLAGS, reals=("bfloat16",))

REPOSITORY = "fastbp/fastbp"
WEB_VIEW = f"https://github.com/{REPOSITORY}/blob"
RAW_FILES = f"https://raw.githubusercontent.com/{REPOSITORY}"
# [text](target) and ![text](target), with a target that is neither a URL nor a heading of the same page
RELATIVE_LINK = re.compile(r"(?P<link>(?P<mark>!?)\[[^\[\]]*\])\((?P<target>(?![a-z]+:|#)[^()\s]+)\)")

PROBE = """
#include <stdatomic.h>
typedef float vec __attribute__((vector_size(16)));
int main(void) { _Atomic int n; atomic_init(&n, 1); vec v = {1, 2, 3, 4}; v = v * 2.0f; return v[0] == 2.0f ? 0 : n; }
"""

# What the table of bfloat16 and its choice (tables.c) need beyond that
BFLOAT16_PROBE = """
#include <immintrin.h>
__m512 add(__m512 sums, __m512bh a, __m512bh b) { return _mm512_dpbf16_ps(sums, a, b); }
#if !defined(_MSC_VER)
int is_supported(void) { return __builtin_cpu_supports("avx512bf16"); }
#endif
"""


class BuildKernels(build_ext):
    """Compiles the source of tables once per table, and says plainly when the compiler cannot do it."""

    def build_extensions(self):
        self.check_compiler()
        # Here and not at the top, where every command would wait for it: making the source distribution, too.
        translated = cythonize(
            self.extensions,
            include_path=["src"],
            build_dir="build/cython",
            compiler_directives={"language_level": 3, "embedsignature": True, "freethreading_compatible": True},
        )
        for extension, in_c in zip(self.extensions, translated, strict=True):
            assert extension.name == in_c.name
            extension.sources = in_c.sources
            extension.extra_compile_args = self.flags(["-O2", "-g0", "-Wno-unreachable-code"])
            module = extension.name.rpartition(".")[2]
            if module in TABLES:
                tables = TABLES[module]
                extension.define_macros = [("FASTBP_VERSION", c_string(self.distribution.get_version()))]
                extension.extra_objects = [
                    self.compile_table(tables, isa, real) for isa in tables.flags_of for real in tables.reals
                ]
                if module == "dispatch" and self.compiles_bfloat16():
                    extension.define_macros.append(("FASTBP_HAS_BFLOAT16", "1"))
                    extension.extra_objects += [self.compile_table(BFLOAT16, isa, "bfloat16") for isa in BFLOAT16_FLAGS]
        super().build_extensions()

    def flags(self, gnu_flags):
        """The flags as the compiler driver at hand wants them spelled."""
        standard = ["-std=c11"]
        if self.compiler.compiler_type == "msvc":
            return [f"/clang:{flag}" for flag in gnu_flags] + ["/std:c11"]
        return standard + gnu_flags

    def compile_table(self, tables, isa, real):
        name = f"fastbp_{tables.name}_{isa}_{real}"
        flags = self.flags([*FLOAT_FLAGS, *tables.flags, *tables.flags_of[isa]])
        # setuptools puts the environment's flags before ours
        told = " ".join([*os.environ.get("CFLAGS", "").split(), *flags])
        objects = self.compiler.compile(
            [f"{KERNELS}/{tables.source}"],
            output_dir=str(Path(self.build_temp) / name),
            macros=[
                ("FASTBP_DOUBLE", str(int(real == "double"))),
                ("FASTBP_BFLOAT16", str(int(real == "bfloat16"))),
                ("FASTBP_TABLE", name),
                ("FASTBP_FLAGS", c_string(told)),
            ],
            extra_postargs=flags,
            depends=KERNEL_SOURCES,
        )
        return objects[0]

    def compiles_bfloat16(self):
        """Whether there are processors with the instructions for bfloat16, and the compiler knows them."""
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "bfloat16.c"
            probe.write_text(BFLOAT16_PROBE)
            try:
                for flags in BFLOAT16_FLAGS.values():
                    self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=self.flags(flags))
            except CompileError:
                print("The compiler does not know AVX512_BF16: building without the kernels of dtype='bfloat16'")
                return False
        return bool(BFLOAT16_FLAGS)

    def check_compiler(self):
        try:
            if self.compiler.compiler_type == "msvc":
                # MSVC's own compiler lacks the vector extensions; clang-cl takes the same command line.
                self.compiler.initialize()
                self.compiler.cc = os.environ.get("CC", "clang-cl")
            with tempfile.TemporaryDirectory() as folder:
                probe = Path(folder) / "probe.c"
                probe.write_text(PROBE)
                # the object, too: without an output folder it would go below the current one
                self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=self.flags(FLOAT_FLAGS))
        except Exception as error:
            raise CompileError(
                "fastbp needs a C11 compiler with GNU vector extensions and atomics: GCC 9 or newer, or Clang 10 or "
                "newer (clang-cl on Windows). Install one (Debian and Ubuntu: `apt install gcc`; macOS: "
                "`xcode-select --install`; Windows: LLVM), or name it with the environment variable CC. "
                f"The compiler that was tried said: {error}"
            ) from error


def c_string(text):
    """`text` as a string constant of C."""
    return json.dumps(text)


def readme_of_the_index():
    """The README with links and pictures that work on another site, too: they lead to this version of the files."""
    version = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["version"]
    targets = {"!": RAW_FILES, "": WEB_VIEW}

    def absolute(match):
        return f"{match['link']}({targets[match['mark']]}/v{version}/{match['target']})"

    return RELATIVE_LINK.sub(absolute, Path("README.md").read_text("utf-8"))


def extension(name):
    return Extension(
        f"fastbp.kernels.{name}",
        [f"{KERNELS}/{name}.pyx"] + ([f"{KERNELS}/{TABLES[name].choice}"] if name in TABLES else []),
        include_dirs=[KERNELS],
        depends=[*KERNEL_SOURCES, "pyproject.toml"],  # the version
    )


setup(
    ext_modules=[extension(name) for name in MODULES],
    cmdclass={"build_ext": BuildKernels},
    long_description=readme_of_the_index(),
    long_description_content_type="text/markdown",
)
