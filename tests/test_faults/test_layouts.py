"""Every memory layout, integer type and sparse format gives the result of C-ordered float64, and is not changed."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def misaligned(array):
    buffer = np.frombuffer(b"\0" + array.tobytes(), dtype=np.uint8)[1:]
    result = buffer.view(array.dtype).reshape(array.shape)
    assert not result.flags.aligned
    return result


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 3, axis=0)[::3],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "reversed columns": lambda a: a[..., ::-1].copy()[..., ::-1],
    "strided columns": lambda a: np.repeat(a, 3, axis=-1)[..., ::3],
    "misaligned": misaligned,
    "big endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "nested lists": lambda a: a.tolist(),
    "int8": lambda a: a.astype(np.int8),
    "int64": lambda a: a.astype(np.int64),
    "big endian int32": lambda a: a.astype(">i4"),
    "float16": lambda a: a.astype(np.float16),
}


@pytest.mark.fault(11)
@both_estimators
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_the_input(Estimator, layout):
    X, y = make_data()
    X = np.rint(2 * X)  # small whole numbers, exact in every type above
    change, weights = LAYOUTS[layout], np.arange(1.0, 51.0)
    plain = Estimator(**SMALL).fit(X, y, weights)
    other = Estimator(**SMALL).fit(change(X), change(y.astype(float)), change(weights))
    # The same numbers; a copy may be skipped and with it the order of a sum change.
    assert_allclose(output(other, X), output(plain, X), rtol=1e-9)
    assert_allclose(output(plain, change(X)), output(plain, X), rtol=1e-9)
    one_by_one = np.concatenate([output(plain, change(X[i : i + 1])) for i in range(5)])
    assert_allclose(one_by_one, output(plain, X[:5]), rtol=1e-9)


@pytest.mark.fault(11)
@both_estimators
def test_boolean_X(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL).fit(X > 0, y)
    plain = Estimator(**SMALL).fit((X > 0).astype(float), y)
    assert_array_equal(output(model, X > 0), output(plain, (X > 0).astype(float)))


@pytest.mark.fault(10)
@both_estimators
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_read_only_memory_maps(Estimator, solver, sparse, tmp_path):
    X, y = make_data()
    arrays = {"X": X, "y": y, "weights": np.linspace(1, 2, len(y))}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    X_map = maps["X"]
    if sparse:
        X_map = sp.csr_array(X)
        for part in (X_map.data, X_map.indices, X_map.indptr):
            part.flags.writeable = False
    model = Estimator(**SMALL, solver=solver)
    model.fit(X_map, maps["y"], sample_weight=maps["weights"])
    plain = Estimator(**SMALL, solver=solver).fit(X, y, sample_weight=arrays["weights"])
    # Sparse products may add in another order.
    assert_allclose(output(model, X_map), output(plain, X), rtol=1e-7, atol=1e-9)
    for name, array in arrays.items():
        assert_array_equal(maps[name], array)


def awkward_sparse(X, kind):
    """A sparse array equal to X that is stored in an unusual but valid way."""
    matrix = sp.csc_array(X) if "csc" in kind else sp.csr_array(X)
    if "int64" in kind:
        matrix.indices, matrix.indptr = (matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64))
    if "unsorted" in kind:
        for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False):
            matrix.indices[start:stop] = matrix.indices[start:stop][::-1].copy()
            matrix.data[start:stop] = matrix.data[start:stop][::-1].copy()
        matrix.has_sorted_indices = False
    if "duplicates" in kind:
        parts = (np.repeat(matrix.data / 2, 2), np.repeat(matrix.indices, 2), matrix.indptr * 2)
        matrix = type(matrix)(parts, shape=X.shape)
        assert not matrix.has_canonical_format
    if "zeros" in kind:
        matrix.data[::4] = 0.0
    return matrix


@pytest.mark.fault(12)
@both_estimators
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    "kind",
    ["csr", "csc", "csr int64", "csc int64", "csr unsorted", "csc unsorted",
     "csr duplicates", "csc duplicates", "csr zeros", "csc zeros"],
)  # fmt: skip
def test_sparse_storage(Estimator, solver, kind):
    X, y = make_data()
    X[10:13] = 0.0  # rows, and a column, without an entry
    X[:, 4] = 0.0
    matrix = awkward_sparse(X, kind)
    dense = matrix.toarray()
    stored = matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy()
    model = Estimator(**SMALL, solver=solver).fit(matrix, y)
    plain = Estimator(**SMALL, solver=solver).fit(dense, y)
    # Zeros are left out of the sums, so only their rounding may differ.
    assert_allclose(output(model, matrix), output(plain, dense), rtol=1e-7, atol=1e-9)
    assert_allclose(output(model, dense), output(plain, matrix), rtol=1e-7, atol=1e-9)
    for part, kept in zip((matrix.data, matrix.indices, matrix.indptr), stored, strict=True):
        assert_array_equal(part, kept)
