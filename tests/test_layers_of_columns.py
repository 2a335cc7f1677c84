"""Layers that read the columns of a table, and branches; `layers/columns.py`, `layers/branches.py`."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.base_network
from fastbp import Network
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.layers import (
    Activation,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    OneHot,
    Residual,
    RobustScale,
    Scale,
    SelectColumns,
    Sum,
)
from fastbp.layers.base import all_layers
from fastbp.layers.columns import center_and_factor

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
RNG = np.random.default_rng(0)


def make(layers, n_features, X=None, **params):
    network = Network(layers=layers, n_features=n_features, random_state=0, **params)
    if X is not None:
        network.adapt(X)
    return network


def output_of(layer, X, dtype=np.float64, adapt=True):
    """What a layer makes of X: a factor of 1 for each number behind it."""
    return make([layer, Scale()], np.shape(X)[1], X if adapt else None, dtype=dtype).forward(X)


# RobustScale


@both_dtypes
def test_center_and_factor(dtype):
    x = np.concatenate([RNG.normal(5, 2, 101), [np.nan, 1e12]]).astype(dtype)
    low, median, high = np.nanpercentile(x.astype(np.float64), [25, 50, 75])
    assert_allclose(center_and_factor(x, np.dtype(dtype)), (median, 1 / (high - low)), rtol=1e-12)


@both_dtypes
@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([0] * 9 + [3], (0, 2 / 3)),  # half of the range
        ([7, 7, 7], (7, 0)),
        ([7], (7, 0)),
        ([np.nan, np.nan], (0, 0)),
        ([np.nan, 4, 6], (5, 1)),
        ([-1, 1], (0, 1)),  # binary columns of two equal classes become plus and minus 1
        ([0.0, 1e-310], (0, 0)),  # without a normal number
    ],
)
def test_columns_of_few_values(x, expected, dtype):
    assert_allclose(center_and_factor(np.array(x, dtype), np.dtype(dtype)), expected, rtol=1e-12, atol=1e-300)


def test_ranges_at_the_limits_of_the_numbers():
    for dtype in (np.float32, np.float64):
        info = np.finfo(dtype)
        largest, tiny, eps = float(info.max), float(info.tiny), float(info.eps)
        for x in ([-largest, 0, largest], [-largest, largest], [tiny, 3 * tiny, 9 * tiny], [largest / 2, largest]):
            center, factor = center_and_factor(np.array(x, dtype), info.dtype)
            assert np.isfinite(center)
            assert tiny <= factor <= largest
            y = output_of(RobustScale(), np.array(x, dtype)[:, None], dtype)
            assert (np.abs(y) <= 3).all()
            assert (np.diff(y, axis=0) > 0).all()
        # rounding errors of large numbers are no information
        assert center_and_factor(np.array([1, 1 + eps, 1 + 3 * eps], dtype), info.dtype)[1] == 0
        assert center_and_factor(np.array([1, 1 + eps, 1 + 99 * eps], dtype), info.dtype)[1] > 0
    # seconds since 1970, within some minutes: nothing in float32
    x = 1.7e9 + np.arange(100.0)
    assert center_and_factor(x, np.dtype(np.float32))[1] == 0
    assert_allclose(center_and_factor(x, np.dtype(np.float64))[1], 1 / 49.5)


@both_dtypes
def test_robust_scale(dtype):
    X = RNG.normal(size=(31, 3)).astype(dtype)
    X[4, 0], X[5, 1] = np.nan, 1e6
    r = (X - np.nanmedian(X, axis=0)) / np.subtract(*np.nanpercentile(X, [75, 25], axis=0))
    tolerance = dict(rtol=0, atol=20 * np.finfo(dtype).eps)
    for clip in (3.0, 0.5):
        expected = r / np.sqrt(1 + (r / clip) ** 2)
        assert_allclose(output_of(RobustScale(clip=clip), X, dtype), np.nan_to_num(expected), **tolerance)
    expected = np.nan_to_num(r)
    tolerance["atol"] *= np.abs(expected).max()
    assert_allclose(output_of(RobustScale(clip=None), X, dtype), expected, **tolerance)
    assert_array_equal(output_of(RobustScale([2, 0]), X, dtype), output_of(RobustScale(), X, dtype)[:, [2, 0]])
    # numbers whose square is infinite
    network = make([RobustScale(), Scale()], 3, X, dtype=dtype)
    far = np.array([[-1, 0, 1]], dtype) * np.finfo(dtype).max
    assert_allclose(network.forward(far)[:, ::2], [[-3, 3]], rtol=1e-6)


def test_numbers_that_are_too_large_for_the_network():
    X = np.array([[1e300], [0], [1], [2]])
    with pytest.raises(ValueError, match="X holds values too large for float32"):
        make([RobustScale(), Dense(1)], 1, X, dtype=np.float32)
    assert_array_equal(make([RobustScale(), Dense(1)], 1, [[np.inf], [1], [3]]).blocks["center_1"], [2])


def test_adapt_counts_missing_numbers_out_and_keeps_X():
    X = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [5.0, np.nan]])
    before = X.copy()
    network = make([RobustScale(), Dense(1)], 2, X)
    assert_array_equal(network.blocks["center_1"], [3, 0])
    assert_array_equal(network.blocks["factor_1"], [0.5, 0])
    assert_array_equal(X, before)
    network.adapt([[8, 2], [10, 4]])  # a list, and anew
    assert_array_equal(network.blocks["center_1"], [9, 3])


@both_dtypes
def test_select_columns(dtype):
    X = np.array([[1e30, 2, np.nan], [-3, 0.1, 5]], dtype)
    layer = SelectColumns([2, 0])
    network = make([layer, Scale()], 3, X, dtype=dtype)
    assert_array_equal(network.forward(X), [[0, X[0, 0]], [5, -3]])
    assert network.accepts_missing
    assert not network.adapts
    assert pickle.loads(pickle.dumps(layer)) == layer == SelectColumns((2, 0))


# Codes


@both_dtypes
def test_one_hot(dtype):
    X = np.array([[0, 1], [2, 0], [3, -1], [np.nan, 7], [1.2, 0.7], [-0.0, -0.4]], dtype)
    expected = [[1, 0, 0, 0, 1], [0, 0, 1, 1, 0], [0] * 5, [0] * 5, [0, 1, 0, 0, 1], [1, 0, 0, 1, 0]]
    assert_array_equal(output_of(OneHot([3, 2]), X, dtype, adapt=False), expected)
    assert_array_equal(output_of(OneHot([2, 3], columns=[1, 0]), X, dtype, adapt=False), np.roll(expected, 2, axis=1))


@both_dtypes
def test_embedding(dtype):
    X = np.array([[0, 1], [2, 0], [3, -1], [np.nan, 7], [-1e30, 1e30]], dtype)
    network = make([Embedding([3, 2], 4), Scale()], 2, X, dtype=dtype)
    table = network.blocks["table_1"]
    table[[3, 6]] = RNG.normal(size=(2, 4))
    rows = np.array([[0, 5], [2, 4], [3, 6], [3, 6], [3, 6]])
    assert_array_equal(network.forward(X), table[rows].reshape(5, 8))
    summed = make([Embedding([3, 2], 4, combine="sum"), Scale()], 2, X, dtype=dtype)
    summed.params = network.params[: summed.n_params]
    summed.blocks["s_1"][:] = 1
    assert_array_equal(summed.forward(X), table[rows].sum(axis=1))


@both_dtypes
def test_as_many_levels_as_there_may_be(dtype):
    levels = 2**23
    codes = np.array([[levels - 1], [levels - 2], [levels], [levels // 2 + 1]], dtype)
    network = make([Embedding([levels], 1), Scale()], 1, dtype=dtype)
    network.blocks["table_1"][:, 0] = np.arange(levels + 1)
    assert_array_equal(network.forward(codes), codes)


def test_summed_embedding_is_dense_on_one_hot():
    levels, columns = [3, 30, 1], [4, 0, 2]
    X = RNG.integers(-1, 32, size=(200, 5)).astype(float)
    dense = make([OneHot(levels, columns), Dense(7, "tanh"), Dense(2)], 5, X)
    table = make([Embedding(levels, 7, columns, "sum"), Scale(), Activation("tanh"), Dense(2)], 5, X)
    rows = [0, 1, 2, *range(4, 34), 35]
    table.blocks["table_1"][...] = 0
    table.blocks["table_1"][rows] = dense.blocks["W_1"]
    for mine, theirs in (("W_1", "W_2"), ("b_1", "b_2")):
        table.blocks[mine][...] = dense.blocks[theirs]
    dense.blocks["b_1"][...] = 0
    y = RNG.normal(size=(200, 2))
    (loss, gradient), (expected, wanted) = (network.loss_and_gradient(X, y) for network in (table, dense))
    assert_allclose(loss, expected, rtol=1e-12)
    found = table.split_blocks(gradient)["table_1"]
    assert_allclose(found[rows], dense.split_blocks(wanted)["W_1"], rtol=1e-12, atol=1e-14)
    assert (found[[3, 34, 36]] != 0).any(axis=1).tolist() == [True, True, True]  # for codes that are none


def test_initial_values_of_an_embedding():
    for combine, variance in (("concatenate", 1), ("sum", 1 / 2)):
        table = make([Embedding([1000, 3000], 4, combine=combine), Dense(1)], 2).blocks["table_1"]
        assert table.shape == (4002, 4)
        assert_array_equal(table[[1000, 4001]], np.zeros((2, 4)))
        values = np.delete(table, [1000, 4001], axis=0)
        # 16,000 numbers: the relative error of the variance is sqrt(2 / 16,000) = 1.1 %
        assert_allclose([values.mean() + 1, values.var()], [1, variance], rtol=0.05)


def test_the_derivative_by_codes_and_missing_numbers_is_0():
    X = np.array([[0, 1, 0.5, np.nan], [np.nan, 5, np.nan, 2]])
    layers = [Concatenate([OneHot([2], [0]), Embedding([2], 3, [1]), RobustScale([2, 3])]), Dense(4, "tanh"), Dense(2)]
    network = make(layers, 4, np.array([[0, 1, 0, 0], [1, 0, 1, 1], [1, 0, 2, 3]]))
    dX = network.vjp(X, np.ones((2, 2)))
    assert_array_equal(dX != 0, [[False, False, True, False], [False, False, False, True]])
    assert_array_equal(network.jvp(X, np.where(np.isnan(X), 1.0, [1, 1, 0, 0])), np.zeros((2, 2)))


# Branches


def test_concatenate_and_sum():
    X = RNG.normal(size=(6, 3))
    inner = Activation("tanh")
    found = output_of(Concatenate([inner, [], [inner, Activation("relu")]]), X)
    assert_allclose(found, np.hstack([np.tanh(X), X, np.maximum(np.tanh(X), 0)]), rtol=1e-12)
    assert_allclose(output_of(Sum([inner, []]), X), np.tanh(X) + X, rtol=1e-12)
    for cls in (Concatenate, Sum):
        assert_array_equal(output_of(cls([inner]), X), output_of(inner, X))
        layer = cls([inner, [Scale(), Dense(3)]])
        assert layer.branches == ((inner,), (Scale(), Dense(3)))
        assert pickle.loads(pickle.dumps(layer)) == layer
        assert replace(layer) == layer
        assert layer.with_inner([[Scale()]]) == cls([Scale()])
        assert [type(e) for e in all_layers([layer])] == [cls, Activation, Scale, Dense]
    assert output_of(Concatenate([[]]), X).shape == (6, 3)


def test_a_sparse_X_is_read_by_branches_of_dense_layers():
    X, y = sp.csr_array(sp.random(40, 6, density=0.3, random_state=0)), RNG.normal(size=(40, 2))
    for layer in (Sum([Dense(3, "tanh"), Dense(3)]), Concatenate([Dense(3, "tanh"), [Dense(2), Scale()]])):
        network = make([layer, Dense(2)], 6)
        assert_allclose(network.forward(X), network.forward(X.toarray()), rtol=1e-12)
        found, expected = (network.loss_and_gradient(rows, y)[1] for rows in (X, X.toarray()))
        assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("layers", "accepts"),
    [
        ([RobustScale()], True),
        ([Dense(2), RobustScale()], False),
        ([Concatenate([RobustScale(), OneHot([2], [0])])], True),
        ([Concatenate([RobustScale(), []])], False),
        ([Sum([Concatenate([RobustScale()]), [Embedding([2], 3, [0]), Dense(3)]])], True),
        ([Residual([RobustScale()])], False),
    ],
    ids=str,
)
def test_which_networks_accept_missing_numbers(layers, accepts):
    assert make([*layers, Dense(1)], 3).accepts_missing == accepts


# Adapting behind other layers


def test_robust_scale_of_categories():
    X = np.array([[0, 1], [0, 1], [0, np.nan], [1, 0]] * 2, float)
    network = make([OneHot([3, 2]), RobustScale(), Dense(1)], 2, X)
    assert_array_equal(network.blocks["center_1"], [1, 0, 0, 0, 0.5])
    # quartiles 0.75 and 1, or 0 and 0.25; the level that never occurs is constant
    assert_array_equal(network.blocks["factor_1"], [4, 4, 0, 4, 1])


def test_a_layer_behind_others_adapts_to_a_part_of_many_rows(monkeypatch):
    X = np.arange(100.0)[:, None]
    layers = [RobustScale(clip=None), RobustScale(), Dense(1)]
    assert_allclose(make(layers, 1, X).blocks["factor_2"], [1], rtol=1e-12)
    monkeypatch.setattr(fastbp.base_network, "NUMBERS_TO_ADAPT", 10)
    monkeypatch.setattr(fastbp.base_network, "TIMES_X", 0)
    every_tenth = (X[::10] - 49.5) / 49.5
    network = make(layers, 1, X)
    assert_allclose(network.blocks["center_2"], [np.median(every_tenth)], rtol=1e-12)
    assert_allclose(network.blocks["factor_1"], [1 / 49.5], rtol=1e-12)


def test_a_layer_behind_an_activation_adapts():
    X = RNG.normal(size=(20, 2))
    network = make([Activation("tanh"), RobustScale(), Dense(1)], 2, X)
    assert_allclose(network.blocks["center_1"], np.median(np.tanh(X), axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("layers", "X", "message"),
    [
        ([Dense(2), RobustScale()], np.ones((3, 2)), r"RobustScale\(.*\) learns .* cannot read the output of Dense\("),
        ([Scale(), RobustScale()], np.ones((3, 2)), "which is trained: put it in front"),
        ([RobustScale()], np.ones((0, 2)), "at least one row to adapt to"),
        (
            [RobustScale()],
            sp.csr_array(np.ones((3, 2))),
            "a sparse X can be read by Dense layers only, and here",
        ),
        (
            [OneHot([2, 2]), RobustScale(), Dense(2), RobustScale()],
            np.ones((3, 2)),
            "which is trained: put it in front",
        ),
        ([OneHot([2, 2])], [[0, 1], [1, 0.5]], "column 1 of what OneHot reads must hold codes .* got 0.5; encode"),
        ([Embedding([2, 2], 3)], [[np.inf, 0.1]], "column 1 of what Embedding reads must hold codes .* got 0.1"),
    ],
)
def test_what_cannot_be_adapted_to(layers, X, message):
    network = make([*layers, Dense(1)], 2)
    with pytest.raises(ValueError, match=message):
        network.adapt(X)


def test_a_network_without_trained_parameters_is_not_trained():
    network = make([RobustScale()], 2)
    assert network.forward([[1, np.nan]]).shape == (1, 2)
    with pytest.raises(ValueError, match="no parameters that are trained: add a layer with weights"):
        network.loss_and_gradient(np.ones((3, 2)), np.ones((3, 2)))


# Bad arguments


@pytest.mark.parametrize(
    ("make_layer", "error", "message"),
    [
        (lambda: RobustScale(clip=0), ValueError, r"clip must be None or a number in \[1e-6, 1e6\], got 0"),
        (lambda: RobustScale(clip=np.nan), ValueError, "clip must be None or a number"),
        (lambda: RobustScale(clip=True), ValueError, "clip must be None or a number"),
        (lambda: RobustScale([0, -1]), ValueError, "columns must be integers >= 0, got -1"),
        (lambda: RobustScale([1.0]), ValueError, "columns must be integers >= 0, got 1.0"),
        (lambda: RobustScale([]), ValueError, r"columns must be one or more numbers, all different; got \[\]"),
        (lambda: RobustScale([1, 1]), ValueError, r"all different; got \[1, 1\]"),
        (lambda: RobustScale("age"), TypeError, "columns must be None or a list of integers, got 'age'"),
        (lambda: RobustScale(3), TypeError, "columns must be None or a list of integers, got 3"),
        (lambda: SelectColumns(None), ValueError, "columns must be a sequence of integers >= 0, got None"),
        (lambda: SelectColumns([1, 1]), ValueError, r"all different; got \[1, 1\]"),
        (lambda: make([SelectColumns([3])], 3), ValueError, r"columns of SelectColumns.* must be below 3, the width"),
        (lambda: OneHot(3), TypeError, "levels must be a list of integers, one for each column, got 3"),
        (lambda: OneHot([0]), ValueError, "levels must be integers >= 1 and <= 8388608, got 0"),
        (lambda: OneHot([2**23 + 1]), ValueError, "levels must be integers >= 1 and <= 8388608, got 8388609"),
        (lambda: OneHot([2.0]), ValueError, "levels must be integers .* got 2.0"),
        (lambda: OneHot([2], [0, 1]), ValueError, r"one number for each column, got \[2\] for columns=\(0, 1\)"),
        (lambda: OneHot([]), ValueError, "levels must be one number for each column"),
        (lambda: Embedding([2], 0), ValueError, "width must be an integer >= 1, got 0"),
        (lambda: Embedding([2], 3, combine="mean"), ValueError, "combine must be 'concatenate' or 'sum', got 'mean'"),
        (lambda: Embedding([2], 3, learning_rate_factor=-1), ValueError, "learning_rate_factor must be"),
        (lambda: Embedding([2], 3, penalty_factor=np.inf), ValueError, "penalty_factor must be"),
        (lambda: Concatenate([]), ValueError, r"a Concatenate needs at least one branch, got \[\]"),
        (lambda: Sum(Dense(3)), TypeError, "branches must be a list of layers, and lists of layers, got Dense"),
        (lambda: Sum(3), TypeError, "branches must be a list of layers, and lists of layers, got 3"),
        (lambda: Sum([[3]]), TypeError, r"branches\[0\]\[0\] must be an object of fastbp.layers"),
        (lambda: Sum(["relu"]), TypeError, r"branches\[0\] must be a list of objects of fastbp.layers, got 'relu'"),
        (lambda: make([RobustScale([3])], 3), ValueError, r"columns of RobustScale.* must be below 3, the width"),
        (lambda: make([OneHot([2])], 3), ValueError, "one number for each of the 3 columns that it reads, got 1; name"),
        (
            lambda: make([Dropout(0.1), Concatenate([[], [RobustScale(), OneHot([2] * 3)]]), Dense(1)], 3),
            ValueError,
            r"OneHot\(.*\) reads codes of categories, which Dropout in front of it would change: put it behind",
        ),
        (lambda: make([Sum([Dense(2), Dense(3)])], 3), ValueError, r"outputs of one width, got \[2, 3\] from"),
        (lambda: make([Concatenate([[]])], 3), ValueError, "layers must have parameters"),
    ],
)
def test_bad_arguments(make_layer, error, message):
    with pytest.raises(error, match=message):
        make_layer()


# Inspection


def test_inspection():
    X = np.column_stack([RNG.integers(-1, 4, size=50), RNG.normal(size=(50, 2))])
    X[::3, 1] = np.nan
    layers = [Concatenate([[OneHot([3], [0]), RobustScale()], RobustScale([2, 1]), Embedding([3], 2, [0])]), Dense(4)]
    network = make([*layers, Activation("tanh"), Dense(1)], 3, X)
    y = RNG.normal(size=(50, 1))
    report = gradient_check(network, X, y, n_checks=20, random_state=0)
    assert report.passed
    trace = backprop_trace(network, X, y)
    kinds = [operation.kind for operation in trace.operations]
    assert kinds[:6] == ["one_hot", "robust_scale", "robust_scale", "embedding", "concatenate", "concatenate"]
    assert list(trace.operations[3].parameters) == ["table_1"]
