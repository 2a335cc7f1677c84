"""The forward pass over many rows; `predictor.pyx`. Beside the twin: `test_network.py`."""

import _thread
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

import fastbp.kernels.predictor
import fastbp.kernels.slicing
import fastbp.network
import fastbp.threads
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels.team import Team


@pytest.fixture
def shared(monkeypatch):
    """Small amounts of work are shared too; gives monkeypatch."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    return monkeypatch


def problem(n_rows, sparse=False, dtype=np.float64, n_threads=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 5)).astype(dtype)
    X[np.abs(X) < 0.5] = 0
    network = Network([5, 9, 3], output_activation="softmax", dtype=dtype, random_state=0, n_threads=n_threads)
    return network, make_data(sp.csr_array(X) if sparse else X, None, None, 3, network.dtype)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [1, 33, 250, 3001])
def test_a_team_gives_the_same_bits_and_starts_no_threads(n_rows, dtype, sparse, shared):
    network, data = problem(n_rows, sparse, dtype)
    network.n_threads = 1
    expected = network.forward_data(data)
    network.n_threads = 3
    with Team(3) as team:
        shared.setattr(_thread, "start_new_thread", None)
        for alone in (False, True, False):
            team.alone = alone
            assert_array_equal(network.forward_data(data, team=team), expected)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_signals_between_the_slices_of_a_team(n_threads, shared):
    network, data = problem(1000, n_threads=n_threads)
    checks = []

    def check_signals():
        checks.append(sys.float_info.min / 2 > 0)  # whether denormal numbers count
        if len(checks) == 2:
            raise TimeoutError

    expected = network.forward_data(data)
    with Team(2) as team, shared.context() as patch:
        patch.setattr(fastbp.kernels.predictor, "check_signals", check_signals)
        patch.setattr(fastbp.kernels.slicing, "FLOPS_BETWEEN_CHECKS", 1.0)
        network._bind()  # a predictor that checks so often
        with pytest.raises(TimeoutError):
            network.forward_data(data, team=team)
        assert_array_equal(network.forward_data(data, team=team), expected)
    assert len(checks) > 3
    assert all(checks)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [1, 2, 40])
def test_few_rows_that_need_no_checks(n_rows, dtype, raw):
    network, data = problem(n_rows, dtype=dtype)
    output = network.forward_plain(data.values, raw)
    assert output.dtype == dtype
    assert_array_equal(output, network.forward_data(data, raw))


X = np.random.default_rng(0).normal(size=(6, 5))


@pytest.mark.parametrize(
    "rows",
    [
        X.astype(np.float32),
        X.astype(">f8"),
        X.astype(int),
        np.zeros((6, 5), "datetime64[s]"),
        np.asfortranarray(X),
        X[::2],
        X[:, :4].copy(),
        X[:0],
        X[0],
        X[None],
        np.array(1.0),
        np.frombuffer(b"\0" + X.tobytes(), np.float64, X.size, 1).reshape(X.shape),
        X + np.array([0, np.nan, 0, 0, 0]),
        X - np.array([0, 0, 0, 0, np.inf]),
        np.full((6, 5), 1.7e308),
        X.view(np.matrix),
        X.tolist(),
        sp.csr_array(X),
        None,
        1.0,
    ],
    ids=lambda rows: f"{type(rows).__name__} {getattr(rows, 'dtype', '')} {getattr(rows, 'shape', '')}",
)
def test_all_other_rows_need_checks(rows):
    assert problem(6)[0].forward_plain(rows) is None


def test_many_rows_are_left_to_threads(shared):
    network, data = problem(6)
    assert network.forward_plain(data.values) is None
