"""C files of models, compiled into one library and called from Python: compilers take longer than all the rest."""

import ctypes
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

#: Libraries are loaded, and warnings chosen, as these compilers have them
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)] if os.name == "posix" else []
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")
#: What the generated code must pass
WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror"]
C, CPP = ["-x", "c", "-std=c99"], ["-x", "c++", "-std=c++11"]
NUMBERS = {"float": ctypes.c_float, "double": ctypes.c_double, "int32_t": ctypes.c_int32}


def run(*command):
    """Run a command, which must succeed and print no warning; its output."""
    process = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr
    assert not process.stderr
    return process.stdout


class Library:
    """Models that were compiled together.

    Parameters
    ----------
    folder : Path
        For files.
    sources : dict
        Prefix -> C source.
    compiler : str
    """

    def __init__(self, folder, sources, compiler):
        lines = ["#include <stddef.h>"]
        for prefix, source in sources.items():
            (folder / f"{prefix}.c").write_text(source)
            lines += [f'#include "{prefix}.c"', f"size_t {prefix}_sizeof(void);"]
            lines.append(f"size_t {prefix}_sizeof(void) {{ return sizeof({prefix}_work); }}")
        (folder / "all.c").write_text("\n".join(lines) + "\n")
        options = ["-O1", "-shared", "-fPIC", "-o", folder / "all.so", folder / "all.c", "-lm"]
        # no function has more bytes on the stack; where gcc is clang, as on macOS, it does not know the option
        is_gcc = "clang" not in run(compiler, "--version")
        stack = ["-Wstack-usage=256"] if is_gcc else []
        run(compiler, *C[2:], *WARNINGS, *stack, *options)
        self.library = ctypes.CDLL(str(folder / "all.so"))
        self.sources = sources

    def model(self, prefix):
        """One of the models."""
        return Model(self.library, prefix, self.sources[prefix])


class Model:
    """The functions of a model, for arrays of rows."""

    def __init__(self, library, prefix, source):
        self.library, self.prefix, self.source = library, prefix, source
        size = getattr(library, f"{prefix}_sizeof")
        size.restype = ctypes.c_size_t
        # what is in the memory before a call has no effect: NaN would spread
        self.work = np.full(size() // 4 + 1, np.nan, np.float32)
        self.declared = {
            name: (result, [argument.strip() for argument in arguments.split(",")])
            for result, name, arguments in re.findall(rf"^(\w+) {prefix}_(\w+)\(([^)]*)\);$", source, re.MULTILINE)
        }

    def __call__(self, name, X, sizes=()):
        """What a function gives for each row of X, as arrays of shape (n,), or (n, size) for each of the `sizes`."""
        result, arguments = self.declared[name]
        outputs = arguments[1:-1]
        assert len(outputs) == len(sizes)
        types = [next(t for n, t in NUMBERS.items() if n in argument) for argument in arguments[:-1]]
        function = getattr(self.library, f"{self.prefix}_{name}")
        function.restype = NUMBERS.get(result)
        X = np.ascontiguousarray(X, types[0])
        found = [np.full((len(X), size), -7, t) for t, size in zip(types[1:], sizes, strict=True)]
        values = []
        for i in range(len(X)):
            rows = [array[i : i + 1].ctypes for array in (X, *found)]
            values.append(function(*[ctypes.c_void_p(row.data) for row in (*rows, self.work.ctypes)]))
        return found[0] if len(found) == 1 else tuple(found) if found else np.array(values)

    def level(self, column, text):
        """The number of a level."""
        function = getattr(self.library, f"{self.prefix}_level")
        function.restype = ctypes.c_double
        return function(ctypes.c_int32(column), None if text is None else ctypes.c_char_p(text.encode()))

    def labels(self, name="classes"):
        """A table of labels."""
        c_type, size = re.search(
            rf"extern const (\w+ \*?)(?:const )?{self.prefix}_{name}\[(\d+)\]", self.source
        ).groups()
        types = {"char *": ctypes.c_char_p, "int64_t ": ctypes.c_int64, **{f"{n} ": t for n, t in NUMBERS.items()}}
        values = (types[c_type] * int(size)).in_dll(self.library, f"{self.prefix}_{name}")
        return [value.decode() if isinstance(value, bytes) else value for value in values]
