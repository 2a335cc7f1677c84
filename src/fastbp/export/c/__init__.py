"""Models as C99 source, for devices without Python.

``helpers`` has the functions in C, ``kinds`` which of them an operation of a network calls, ``outcomes`` what methods
make of the output, ``tables`` the columns of ensembles, and ``file`` puts the parts together.
"""

from fastbp.export.c.file import c_source
from fastbp.writing import write_atomically

__all__ = ["c_source", "to_c"]


def to_c(estimator, path, *, prefix="model", dtype=None, coverage=None):
    """..."""
    write_atomically(path, c_source(estimator, prefix=prefix, dtype=dtype, coverage=coverage).encode("ascii"))
