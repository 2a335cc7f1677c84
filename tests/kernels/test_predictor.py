"""The forward pass over many rows; `predictor.pyx`. Beside the twin: `test_network.py`."""

import _thread
import functools
import sys
import threading
from contextlib import nullcontext

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
from running_threads import count_threads, wait_for_threads


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


class HeldThreads:
    """In place of ``_thread.start_new_thread``: holds the threads back until `start`."""

    def __init__(self):
        self.held, self.start_new_thread, self.arrived = [], _thread.start_new_thread, threading.Semaphore(0)

    def __call__(self, run, arguments):
        self.held.append((run, arguments))
        return 0

    def start(self):
        """Start the threads, and wait until they are at work."""
        for run, (work, number) in self.held:
            self.start_new_thread(run, (functools.partial(self.noted, work), number))
        for _ in self.held:
            assert self.arrived.acquire(timeout=60)

    def noted(self, work, number):
        self.arrived.release()
        work(number)


@pytest.fixture
def windows(shared):
    """Checks for signals after as few rows as possible; a function that sets what is called in place of the check."""
    shared.setattr(fastbp.kernels.slicing, "FLOPS_BETWEEN_CHECKS", 1.0)
    shared.setattr(fastbp.kernels.predictor, "TEAM_SECONDS_BETWEEN_CHECKS", 0.0)
    return lambda function: shared.setattr(fastbp.kernels.predictor, "check_signals", function)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [1, 33, 250, 3001])
def test_the_result_does_not_depend_on_threads(n_rows, dtype, sparse, shared):
    network, data = problem(n_rows, sparse, dtype, n_threads=1)
    expected = network.forward_data(data)
    for network.n_threads in (2, 3, 40):
        assert_array_equal(network.forward_data(data), expected)
    with Team(2) as two, Team(3) as three:
        shared.setattr(_thread, "start_new_thread", None)  # the teams that are there are used
        for network.n_threads in (2, 3):
            for team in (two, three):
                for team.alone in (False, True, False):
                    assert_array_equal(network.forward_data(data, team=team), expected)


def test_no_more_threads_than_slices(shared):
    network, data = problem(90, n_threads=40)
    expected, threads = network.forward_data(data), HeldThreads()
    shared.setattr(_thread, "start_new_thread", threads)
    assert_array_equal(network.forward_data(data), expected)
    assert len(threads.held) == 2  # and the calling one: 90 rows are three slices of at least 32


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("start_at", [1, 3, None])
def test_workers_that_come_late_or_never(start_at, given, windows, shared):
    network, data = problem(10_000)
    expected, checks, threads = network.forward_data(data), [], HeldThreads()

    def check_signals():
        checks.append(None)
        if len(checks) == start_at:
            threads.start()

    windows(check_signals)
    shared.setattr(_thread, "start_new_thread", threads)
    network._bind()  # a predictor that checks so often
    team = Team(3) if given else None
    with team or nullcontext():
        assert_array_equal(network.forward_data(data, team=team), expected)
    assert len(threads.held) == 2
    # 40 slices of 256 rows: windows of one slice for the leader alone, then of one slice for each of three threads
    n_alone = 40 if start_at is None else start_at
    assert len(checks) + 1 == n_alone + -(-(40 - n_alone) // 3)


@pytest.mark.parametrize("alone", [False, True])
def test_how_often_a_team_checks_for_signals(alone, windows, shared):
    network, data = problem(10_000)
    checks, threads = [], HeldThreads()
    windows(lambda: checks.append(sys.float_info.min / 2 > 0))  # whether denormal numbers count
    network._bind()
    shared.setattr(_thread, "start_new_thread", threads)
    with Team(3) as team:
        threads.start()
        team.alone = alone
        network.forward_data(data, team=team)
    assert checks == [True] * (39 if alone else 13)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_an_exception_from_a_signal_handler(n_threads, given, windows, shared):
    before = count_threads()
    network, data = problem(10_000, n_threads=n_threads)
    expected, checks = network.forward_data(data), []

    def check_signals():
        checks.append(None)
        if len(checks) == 5:
            raise TimeoutError

    windows(check_signals)
    network._bind()
    team = Team(n_threads) if given else None
    with team or nullcontext():
        with pytest.raises(TimeoutError):
            network.forward_data(data, team=team)
        assert sys.float_info.min / 2 > 0
        assert len(checks) == 5
        assert_array_equal(network.forward_data(data, team=team), expected)
    assert wait_for_threads(before) <= before
