"""Conversion of the user's arrays for the kernels: copies, and all sparse formats of X; `data.py`."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import warm_python
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels.data import Data
from fastbp.optimizers import Adam
from fastbp.training import OptimizerState
from layouts import misaligned

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def table(n=23, m=7):
    """Numbers of which two thirds are zero; one row and one column are empty."""
    rng = np.random.default_rng(0)
    X = rng.integers(1, 9, size=(n, m)) * (rng.random((n, m)) < 0.35)
    X[4] = 0
    X[:, 2] = 0
    return X.astype(float)


# Dense


def csr_of_misaligned_parts(X):
    X = sp.csr_array(X)
    for name in ("data", "indices", "indptr"):
        setattr(X, name, misaligned(getattr(X, name)))
    return X


@both_dtypes
def test_numbers_are_not_copied_and_labels_and_weights_are(dtype):
    X, Y = np.ones((6, 3), dtype), np.ones((6, 2), dtype)
    labels, weight = np.zeros(6, np.int64), np.ones(6)
    data = make_data(X, Y, weight, 2, dtype)
    values, held_Y, held_weight = data.values, data.Y, data.sample_weight
    assert np.shares_memory(values, X)
    assert np.shares_memory(held_Y, Y)
    assert not np.shares_memory(held_weight, weight)
    held_labels = make_data(X, labels, None, 2, dtype).labels
    assert not np.shares_memory(held_labels, labels)
    assert not held_labels.flags.writeable


@both_dtypes
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_of_csr_the_values_are_not_copied_and_the_indices_are(container, dtype):
    X = container(table().astype(dtype))
    data = make_data(X, None, None, 1, np.dtype(dtype))
    values, indices, indptr = data.values, data.indices, data.indptr
    assert np.shares_memory(values, X.data)
    for held, given in ((indices, X.indices), (indptr, X.indptr)):
        assert_array_equal(held, given)
        assert not np.shares_memory(held, given)
        assert not held.flags.writeable
    assert (indices.dtype, indptr.dtype) == (np.int32, np.int64)


def test_read_only_arrays():
    X = table()
    X.flags.writeable = False
    data = make_data(X, None, None, 1, np.dtype(np.float64))
    assert np.shares_memory(data.values, X)


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X[::-1].copy()[::-1],
        lambda X: X.astype(">f8"),
        lambda X: X.astype(np.int16),
        lambda X: X.astype(np.float32),
        lambda X: X.tolist(),
    ],
    ids=["fortran", "strided", "negative strides", "big-endian", "integer", "float32", "list"],
)
def test_forms_of_dense(form):
    network = Network([7, 5, 2], "tanh", random_state=0)
    assert_array_equal(network.forward(form(table())), network.forward(table()))


def test_booleans():
    network = Network([7, 5, 2], "tanh", random_state=0)
    assert_array_equal(network.forward(table() > 0), network.forward((table() > 0).astype(float)))


@pytest.mark.fault(18)
def test_a_repeated_row_through_a_stride_of_zero():
    # the kernels want rows one after the other, so that such a view is written out
    network = Network([7, 5, 2], "tanh", random_state=0)
    X = np.broadcast_to(table()[:1], (500, 7))
    assert_array_equal(network.forward(X), np.repeat(network.forward(X[:1]), 500, axis=0))


@pytest.mark.fault(11)
@pytest.mark.parametrize("form", [np.asarray, csr_of_misaligned_parts], ids=["dense", "csr"])
def test_what_the_kernels_point_into_is_aligned(form):
    X, labels = table(), np.arange(23) % 2
    given = misaligned(X) if form is np.asarray else form(X)
    for targets in (misaligned(labels), misaligned(np.eye(2)[labels])):
        data = make_data(given, targets, misaligned(np.ones(23)), 2, np.dtype(float))
        for held in (data.values, data.indices, data.indptr, data.Y, data.labels, data.sample_weight):
            assert held is None or held.flags.aligned
    with pytest.raises(ValueError, match="not aligned"):
        Data(misaligned(X))


@pytest.mark.parametrize("method", ["loss_and_gradient", "input_gradient", "hvp", "vjp", "jvp", "backward"])
def test_misaligned_arguments(method):
    network = Network([7, 5, 2], "tanh", random_state=0)
    shapes = {"hvp": [(23, 2), (network.n_params,)], "jvp": [(23, 7)]}.get(method, [(23, 2)])
    arguments = [np.random.default_rng(0).normal(size=shape) for shape in shapes]
    if method in ("loss_and_gradient", "input_gradient", "hvp"):
        arguments.append(np.arange(1.0, 24.0))
    plain = getattr(network, method)(table(), *arguments)
    other = getattr(network, method)(misaligned(table()), *map(misaligned, arguments))
    for actual, expected in zip(other, plain, strict=True):
        assert_array_equal(actual, expected)


NO_NUMBERS = {
    "dates": lambda a: (a > 0).astype("M8[s]"),
    "durations": lambda a: (a > 0).astype("m8[s]"),
    "strings": lambda a: a.astype(str),
    "bytes": lambda a: a.astype("S"),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a + 0j,
}


@pytest.mark.parametrize("place", ["X", "y", "sample_weight", "direction", "v", "u", "dA", "params"])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_named(kind, place):
    network = Network([7, 5, 2], "tanh", random_state=0)
    given = {
        "X": table(), "y": np.ones((23, 2)), "sample_weight": np.ones(23), "direction": network.params,
        "v": np.ones((23, 2)), "u": table(), "dA": np.ones((23, 2)), "params": network.params,
    }  # fmt: skip
    given[place] = NO_NUMBERS[kind](given[place])
    X, y = given["X"], given["y"]
    calls = {
        "v": lambda: network.vjp(X, given["v"]),
        "u": lambda: network.jvp(X, given["u"]),
        "dA": lambda: network.backward(X, given["dA"]),
        "direction": lambda: network.hvp(X, y, given["direction"]),
        "params": lambda: setattr(network, "params", given["params"]),
    }
    call = calls.get(place, lambda: network.loss_and_gradient(X, y, given["sample_weight"]))
    with pytest.raises(TypeError, match=f"^{place} must hold real numbers"):
        call()


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    network = Network([7, 5, 2], "tanh", random_state=0)
    frame = pandas.DataFrame(table(), columns=list("abcdefg"))
    for given in (frame, frame.astype("Int64"), frame.astype({"a": "float32", "b": "Int8"})):
        assert_array_equal(network.forward(given), network.forward(table()))
    frame["c"] = pandas.Timestamp("2026-01-01")
    with pytest.raises(TypeError, match=r"X must hold real numbers, got column.* 'c': datetime64"):
        network.forward(frame)


def test_lists():
    network = Network([7, 5, 2], "tanh", random_state=0)
    for actual, expected in zip(network.split(network.params.tolist()), network.split(network.params), strict=True):
        for part, wanted in zip(actual, expected, strict=True):
            assert_array_equal(part, wanted)
    with pytest.raises(ValueError, match="flat must have shape"):
        network.split([1.0, 2.0])


# Sparse


def csr(X=None, **changes):
    X = sp.csr_array(table() if X is None else X)
    for name, value in changes.items():
        setattr(X, name, value)
    return X


def wide_indices():
    return csr(indices=csr().indices.astype(np.int64), indptr=csr().indptr.astype(np.int64))


def unsorted():
    X = csr()
    for i in range(X.shape[0]):
        row = slice(X.indptr[i], X.indptr[i + 1])
        X.indices[row] = X.indices[row][::-1].copy()
        X.data[row] = X.data[row][::-1].copy()
    X.has_sorted_indices = False
    return X


def duplicates():
    """Every entry twice, at half its value."""
    X = csr()
    return sp.csr_array((np.repeat(X.data, 2) / 2, np.repeat(X.indices, 2), X.indptr * 2), shape=X.shape)


def explicit_zeros():
    X = sp.coo_array(table())
    zeros = np.argwhere(table() == 0)[::3].T
    data = np.concatenate([X.data, np.zeros(zeros.shape[1])])
    row, col = np.hstack([np.array([X.row, X.col]), zeros])
    return sp.csr_array((data, (row, col)), shape=X.shape)


FORMS = {
    "csr_array": csr,
    "csr_matrix": lambda: sp.csr_matrix(table()),
    "csc_array": lambda: sp.csc_array(table()),
    "csc_matrix": lambda: sp.csc_matrix(table()),
    "coo_array": lambda: sp.coo_array(table()),
    "int64 indices": wide_indices,
    "unsorted": unsorted,
    "duplicates": duplicates,
    "explicit zeros": explicit_zeros,
    "integers": lambda: csr().astype(np.int64),
    "big-endian": lambda: csr(data=csr().data.astype(">f8")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fan_out", [1, 3, 17, 70])
@both_dtypes
def test_forms_of_sparse(form, fan_out, dtype):
    X, y = FORMS[form](), np.random.default_rng(0).normal(size=(23, 2))
    before = [X.data.copy(), *(a.copy() for a in ([X.indices, X.indptr] if hasattr(X, "indptr") else [X.row, X.col]))]
    network = Network([7, fan_out, 2], "tanh", alpha=0.1, dtype=dtype, random_state=0)
    # sums of the same terms in another order: some roundings of numbers of order ten
    tolerance = dict(rtol=50 * np.finfo(dtype).eps, atol=50 * np.finfo(dtype).eps)
    assert_allclose(network.forward(X), network.forward(table()), **tolerance)
    for actual, expected in zip(network.loss_and_gradient(X, y), network.loss_and_gradient(table(), y), strict=True):
        assert_allclose(actual, expected, **tolerance)
    after = [X.data, *([X.indices, X.indptr] if hasattr(X, "indptr") else [X.row, X.col])]
    for held, kept in zip(after, before, strict=True):
        assert_array_equal(held, kept)


def test_no_entries_at_all():
    network = Network([7, 5, 2], "tanh", random_state=0)
    X, y = sp.csr_array((9, 7)), np.ones((9, 2))
    assert_array_equal(network.forward(X), network.forward(np.zeros((9, 7))))
    for actual, expected in zip(
        network.loss_and_gradient(X, y), network.loss_and_gradient(X.toarray(), y), strict=True
    ):
        assert_allclose(actual, expected, rtol=1e-14)


NO_SUCH_COLUMN = """
import sys
import numpy as np
import scipy.sparse as sp
from fastbp import Network

X = sp.csr_array(np.eye(7))
X.indices[5] = int(sys.argv[1])
try:
    Network([7, 5, 2], random_state=0).forward(X)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("column", [-1, 7, 2**30])
def test_a_column_that_does_not_exist(column):
    # in another process, because a read beyond the weights may crash it
    process = warm_python.run(["-c", NO_SUCH_COLUMN, column])
    assert process.returncode == 0, process.stderr
    assert "X" in process.stdout


# More than 2^31 elements


def trained(data, rows, n_features):
    """The parameters after two epochs on some rows of the data."""
    network = Network([n_features, 2, 1], "tanh", dtype=np.float32, random_state=0)
    optimizer = OptimizerState(Adam(), network.n_params, network.dtype)
    loop = network.training_loop(data, 3, indexed=True)
    optimizer.attach(loop, 0.0)
    loop.train(rows, None, 1.0, np.full(2, 0.1), np.empty(2))
    return network.params


@pytest.mark.fault(18)
def test_offsets_beyond_32_bits(tmp_path):
    # A file with a hole: nine gigabytes of which some pages exist. The last rows begin beyond 2^31 elements.
    n, m = 2**20 + 5, 2**11 + 1
    try:
        X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(n, m))
    except OSError as error:
        pytest.skip(f"no file of this size here: {error}")
    last = np.arange(n - 5, n)
    values = np.random.default_rng(0).normal(size=(5, m)).astype(np.float32)
    X[last] = values
    Y = np.zeros((n, 1), np.float32)
    Y[last] = values[:, :1]
    data = make_data(X, Y, None, 1, np.dtype(np.float32))
    assert np.shares_memory(data.values, X)
    few = make_data(values, values[:, :1], None, 1, np.dtype(np.float32))
    assert_array_equal(trained(data, last, m), trained(few, np.arange(5), m))


@pytest.mark.fault(18)
def test_a_sparse_table_of_more_than_32_bits():
    # few entries, but a row number times the number of columns exceeds 2^32
    n = m = 70_000
    rng = np.random.default_rng(0)
    row = np.concatenate([rng.integers(n, size=200), [n - 1]])
    column = np.concatenate([rng.integers(m, size=200), [m - 1]])
    X = sp.csr_array((np.ones(201, np.float32), (row, column)), shape=(n, m))
    network = Network([m, 1], dtype=np.float32, random_state=0)
    out = network.forward(X)
    # one product and a sum of one or two terms
    assert_allclose(out, X @ network.coefs[0] + network.intercepts[0], rtol=1e-6, atol=1e-9)
    assert out[n - 1] != out[n - 2]
