"""Random data of every shape, type, layout and container, right and wrong, as recipes with a short repr."""

import dataclasses
import math
import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st

from layouts import LAYOUTS

ROWS = [0, 1, 2, 3, 5, 9, 17, 17, 30, 30, 60, 210, 300]
COLUMNS = [0, 1, 2, 3, 3, 3, 3, 4, 7, 40]
TAME_ROWS = [9, 17, 30, 60, 210]
TAME_COLUMNS = [1, 3, 3, 3, 7, 40]
DTYPES = [
    *["float64"] * 6,
    *["float32"] * 3,
    *("float16", "longdouble", "int8", "int64", "uint64", "bool", "complex128", "object", "U", "S", "M8[s]"),
    *(">f8", ">f4", ">i4"),
]
SPARSE_DTYPES = [*["float64"] * 3, "float32", "int64", "bool", "complex128"]
CONTAINERS = {
    "list": lambda a: a.tolist(),
    "frame": pd.DataFrame,
    "named frame": lambda a: pd.DataFrame(a, columns=[f"c{i}" for i in range(a.shape[1])]),
    "matrix": lambda a: a.view(np.matrix),
    "masked": lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)),
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_array,
    "lil": sp.lil_array,
    "dok": sp.dok_array,
    "bsr": sp.bsr_array,
    "dia": lambda a: diagonals(a),
    "csr of int64": lambda a: with_wide_indices(sp.csr_array(a)),
    "csc of int64": lambda a: with_wide_indices(sp.csc_array(a)),
}
SPECIAL = [*[None] * 12, math.nan, math.inf, -math.inf]


def diagonals(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sp.SparseEfficiencyWarning)  # of many diagonals
        return sp.dia_array(array)


def with_wide_indices(matrix):
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


#: Values of X or y, by a random generator and a shape
VALUES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "constant": lambda rng, shape: np.full(shape, 0.7),
    "zeros": lambda rng, shape: np.zeros(shape),
    "integers": lambda rng, shape: rng.integers(0, 3, shape).astype(float),
    "many zeros": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.3),
    "denormal": lambda rng, shape: rng.normal(size=shape) * 1e-310,
    "tiny": lambda rng, shape: rng.normal(size=shape) * 1e-30,
    "large": lambda rng, shape: rng.normal(size=shape) * 1e6,
    "huge": lambda rng, shape: rng.normal(size=shape) * 1e150,
    "largest": lambda rng, shape: np.full(shape, 1.7e308),
    "beyond float32": lambda rng, shape: rng.normal(size=shape) * 1e39,
    "all scales": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-300, 300, shape),
}


@dataclasses.dataclass
class Matrix:
    """X: its shape, and what makes it unusual."""

    shape: tuple
    values: str = "normal"
    dtype: str = "float64"
    layout: str = ""
    container: str = ""
    special: float | None = None
    seed: int = 0

    def made(self):
        """The array, or what holds it."""
        rng = np.random.default_rng(self.seed)
        X = np.asarray(VALUES[self.values](rng, self.shape))
        if self.special is not None and X.size:
            X.flat[int(rng.integers(X.size))] = self.special
        X = as_dtype(X, self.dtype)
        if self.container:
            return CONTAINERS[self.container](X)
        can_have_layout = X.size and not X.dtype.hasobject and X.itemsize > 1  # no byte is misaligned
        return LAYOUTS[self.layout](X) if self.layout and can_have_layout else X

    def __repr__(self):
        changed = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        usual = {f.name: f.default for f in dataclasses.fields(self)}
        return f"Matrix({', '.join(f'{k}={v!r}' for k, v in changed.items() if v != usual[k])})"


def as_dtype(values, dtype):
    """Numbers in any dtype; what does not fit wraps or becomes infinite."""
    if dtype == "object":
        return values.astype(object)
    if dtype == "M8[s]":
        return np.zeros(values.shape, dtype)
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind in "iub":
            values = np.nan_to_num(np.clip(values, -100, 100))
        return values.astype(dtype)


@st.composite
def matrices(draw, n_columns=None, tame=False):
    """X of two dimensions for the most part; `tame`: one that can be learned from, of the usual types."""
    n = draw(st.sampled_from(TAME_ROWS if tame else ROWS))
    m = draw(st.sampled_from(TAME_COLUMNS if tame else COLUMNS)) if n_columns is None else n_columns
    if tame:
        dtype = draw(st.sampled_from(["float64", "float64", "float32"]))
        container = draw(st.sampled_from(["", "", "", "frame", "csr", "csc", "csr of int64"]))
        layout = draw(st.sampled_from(["", *LAYOUTS])) if not container else ""
        values = draw(st.sampled_from(["normal", "many zeros", "integers", "constant"]))
        return Matrix((n, m), values, dtype, layout, container, seed=draw(seeds()))
    shape = draw(st.sampled_from([*[(n, m)] * 12, (n,), (n, m, 2), ()]))
    container = draw(st.sampled_from(["", *CONTAINERS])) if len(shape) == 2 else ""
    dtype = draw(st.sampled_from(SPARSE_DTYPES if sparse(container) else DTYPES))
    return Matrix(
        shape,
        draw(st.sampled_from(list(VALUES))),
        dtype,
        draw(st.sampled_from(["", "", *LAYOUTS])) if shape and not container and dtype not in ("U", "S") else "",
        container,
        draw(st.sampled_from(SPECIAL)),
        draw(seeds()),
    )


def sparse(container):
    return container.split(" ")[0] in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


def seeds():
    return st.integers(0, 99)


#: Targets of n rows by a random generator
LABELS = {
    "two": lambda rng, n: rng.integers(0, 2, n),
    "three": lambda rng, n: rng.integers(0, 3, n),
    "negative": lambda rng, n: rng.integers(-2, 3, n),
    "large": lambda rng, n: rng.integers(0, 2, n) * 2**62,
    "unsigned": lambda rng, n: rng.integers(0, 3, n).astype(np.uint64),
    "one": lambda rng, n: np.ones(n, int),
    "all different": lambda rng, n: np.arange(n),
    "whole floats": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "bools": lambda rng, n: rng.random(n) < 0.5,
    "strings": lambda rng, n: np.array(["a", "bb", "c"])[rng.integers(0, 3, n)],
    "objects": lambda rng, n: np.array(["a", "bb", "c"], object)[rng.integers(0, 3, n)],
    "bytes": lambda rng, n: np.array([b"a", b"bb"])[rng.integers(0, 2, n)],
    "mixed objects": lambda rng, n: np.array(["a", 1, None], object)[rng.integers(0, 3, n)],
    "list": lambda rng, n: rng.integers(0, 3, n).tolist(),
    "list of strings": lambda rng, n: ["x", "y"] * (n // 2) + ["x"] * (n % 2),
    "series": lambda rng, n: pd.Series(rng.integers(0, 3, n)),
    "series of strings": lambda rng, n: pd.Series(["x", "y"] * (n // 2) + ["x"] * (n % 2), dtype="object"),
    "categories": lambda rng, n: pd.Series(rng.integers(0, 3, n)).astype("category"),
    "nullable": lambda rng, n: pd.Series(rng.integers(0, 3, n), dtype="Int64"),
    "column": lambda rng, n: rng.integers(0, 3, (n, 1)),
    "frame": lambda rng, n: pd.DataFrame({"y": rng.integers(0, 3, n)}),
    "indicators": lambda rng, n: rng.integers(0, 2, (n, 3)),
    "sparse indicators": lambda rng, n: sp.csr_matrix(rng.integers(0, 2, (n, 3))),
    "one indicator": lambda rng, n: np.ones((n, 2), int),
    "sparse numbers": lambda rng, n: sp.csr_array(rng.integers(0, 4, (n, 3))),
    "probabilities": lambda rng, n: rng.dirichlet([1, 1, 1], n) if n else np.zeros((0, 3)),
    "two probabilities": lambda rng, n: rng.dirichlet([1, 1], n).astype(np.float32) if n else np.zeros((0, 2)),
    "no probabilities": lambda rng, n: rng.random((n, 3)),
    "columns": lambda rng, n: rng.integers(0, 4, (n, 2)),
    "columns of strings": lambda rng, n: np.array(["a", "b", "c"])[rng.integers(0, 3, (n, 2))],
    "no columns": lambda rng, n: np.zeros((n, 0)),
    "continuous": lambda rng, n: rng.normal(size=n),
    "nan": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, 1.0),
    "complex": lambda rng, n: rng.normal(size=n) + 1j,
    "dates": lambda rng, n: np.zeros(n, "M8[s]"),
    "cube": lambda rng, n: np.zeros((n, 2, 2)),
    "scalar": lambda rng, n: 1,
    "none": lambda rng, n: None,
    "text": lambda rng, n: "labels",
    "ragged": lambda rng, n: [[0]] * (n // 2) + [[0, 1]] * (n - n // 2),
}
NUMBERS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "positive": lambda rng, n: rng.uniform(0.1, 5, n),
    "counts": lambda rng, n: rng.poisson(2, n),
    "negative": lambda rng, n: -rng.uniform(0.1, 5, n),
    "constant": lambda rng, n: np.full(n, 3.0),
    "column": lambda rng, n: rng.normal(size=(n, 1)),
    "several": lambda rng, n: rng.uniform(0.1, 2, size=(n, 3)),
    "fortran": lambda rng, n: np.asfortranarray(rng.normal(size=(n, 2))),
    "no columns": lambda rng, n: np.zeros((n, 0)),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "float16": lambda rng, n: rng.normal(size=n).astype(np.float16),
    "longdouble": lambda rng, n: rng.normal(size=n).astype(np.longdouble),
    "big-endian": lambda rng, n: rng.normal(size=n).astype(">f8"),
    "huge": lambda rng, n: rng.normal(size=n) * 1e160,
    "largest": lambda rng, n: np.full(n, 1.7e308) * rng.choice([-1, 1], n),
    "large": lambda rng, n: rng.normal(size=n) * 1e30,
    "denormal": lambda rng, n: rng.normal(size=n) * 1e-310,
    "all scales": lambda rng, n: 10.0 ** rng.integers(-300, 300, n),
    "bools": lambda rng, n: rng.random(n) < 0.5,
    "objects": lambda rng, n: rng.normal(size=n).astype(object),
    "large integers": lambda rng, n: [10**400] * n,
    "list": lambda rng, n: rng.normal(size=n).tolist(),
    "series": lambda rng, n: pd.Series(rng.normal(size=n)),
    "nullable": lambda rng, n: pd.Series(rng.normal(size=n), dtype="Float64"),
    "frame": lambda rng, n: pd.DataFrame(rng.normal(size=(n, 2))),
    "nan": lambda rng, n: np.where(rng.random(n) < 0.2, np.nan, 1.0),
    "inf": lambda rng, n: np.where(rng.random(n) < 0.2, np.inf, 1.0),
    "None": lambda rng, n: np.where(rng.random(n) < 0.2, None, 1.0),
    "strings": lambda rng, n: np.array(["a", "b"])[rng.integers(0, 2, n)],
    "numbers as text": lambda rng, n: np.array(["1", "2"])[rng.integers(0, 2, n)],
    "complex": lambda rng, n: rng.normal(size=n) + 1j,
    "sparse": lambda rng, n: sp.csr_array(rng.normal(size=(n, 1))),
    "dates": lambda rng, n: np.zeros(n, "m8[s]"),
    "cube": lambda rng, n: np.zeros((n, 2, 2)),
    "scalar": lambda rng, n: 1.0,
    "none": lambda rng, n: None,
}
WEIGHTS = {
    "ones": lambda rng, n: np.ones(n),
    "random": lambda rng, n: rng.uniform(0.1, 3, n),
    "some zeros": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "integers": lambda rng, n: rng.integers(1, 3, n),
    "float16": lambda rng, n: np.ones(n, np.float16),
    "list": lambda rng, n: [1.0] * n,
    "series": lambda rng, n: pd.Series(np.ones(n)),
    "one": lambda rng, n: np.eye(1, n, n // 2).ravel(),
    "number": lambda rng, n: 2.0,
    "zeros": lambda rng, n: np.zeros(n),
    "negative": lambda rng, n: -np.ones(n),
    "nan": lambda rng, n: np.full(n, np.nan),
    "infinite": lambda rng, n: np.full(n, np.inf),
    "huge": lambda rng, n: np.full(n, 1e300),
    "tiny": lambda rng, n: np.full(n, 1e-300),
    "denormal": lambda rng, n: np.full(n, 5e-324),
    "far apart": lambda rng, n: 10.0 ** rng.integers(-30, 30, n),
    "too many": lambda rng, n: np.ones(n + 1),
    "matrix": lambda rng, n: np.ones((n, 1)),
    "text": lambda rng, n: np.full(n, "1"),
    "complex": lambda rng, n: np.full(n, 1j),
    "objects": lambda rng, n: np.ones(n, object),
}
TABLES = {"labels": LABELS, "numbers": NUMBERS, "weights": WEIGHTS}


@dataclasses.dataclass
class Column:
    """Targets or sample weights of `n` rows: an entry of a table."""

    table: str
    kind: str
    n: int
    seed: int = 0

    def made(self):
        return TABLES[self.table][self.kind](np.random.default_rng(self.seed), self.n)


#: What a model can learn from
TAME = {
    "labels": [
        *("two", "three", "negative", "whole floats", "bools", "strings", "objects", "list", "list of strings"),
        *("series", "categories", "column", "indicators", "sparse indicators", "probabilities", "columns"),
    ],
    "numbers": ["normal", "positive", "counts", "column", "several", "fortran", "float32", "list", "series", "frame"],
    "weights": ["ones", "random", "some zeros", "integers", "list", "one", "far apart"],
}


@st.composite
def targets(draw, is_classifier, n, tame=False):
    """Targets of `n` rows, rarely of another number."""
    table = "labels" if is_classifier else "numbers"
    if not tame and draw(st.integers(0, 30)) == 0:
        table = "numbers" if is_classifier else "labels"
    kinds = TAME[table] if tame else list(TABLES[table])
    change = 0 if tame else draw(st.sampled_from([0] * 30 + [1]))
    return Column(table, draw(st.sampled_from(kinds)), n + change, draw(seeds()))


@st.composite
def weights(draw, n, tame=False):
    """Sample weights of `n` rows, or None."""
    if draw(st.integers(0, 9)) < 6:
        return None
    return Column("weights", draw(st.sampled_from(TAME["weights"] if tame else list(WEIGHTS))), n, draw(seeds()))
