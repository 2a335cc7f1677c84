"""Workers that are killed or join: the model of an undisturbed run, and more shards."""

import logging
import os
import signal
import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.dask.epochs
from fastbp import Callback
from fastbp.dask import DaskMLPClassifier
from fastbp.dask.cluster import Cluster
from fastbp.dask.collections import partitions_of

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
X = RNG.randn(4000, 50).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


class At(Callback):
    """Calls a function at the beginning of an epoch, and keeps the times of the epochs."""

    def __init__(self, epoch, function):
        self.epoch, self.function = epoch, function

    def on_epoch_begin(self, state):
        if state.epoch == self.epoch:
            self.function(state)


def collections(n=8):
    return da.from_array(X, chunks=(len(X) // n, -1)), da.from_array(Y, chunks=len(X) // n)


def test_a_worker_is_killed_in_the_middle_of_a_round(client, caplog):
    params = dict(hidden_layer_sizes=(200, 200), batch_size=20, sync_every=100, max_iter=4, random_state=0)
    expected = DaskMLPClassifier(**params).fit(*collections())
    seconds = expected.history_["seconds"]

    def kill_soon(state):
        pid = client.run(os.getpid)[max(client.nthreads())]  # not the one that the average was sent to
        delay = (seconds[-1] - seconds[0]) / 3 / 4  # of the first of two rounds of the epoch, the middle
        threading.Timer(delay, os.kill, (pid, signal.SIGKILL)).start()

    model = DaskMLPClassifier(**params, callbacks=At(1, kill_soon))
    with caplog.at_level(logging.WARNING, logger="fastbp.dask"):
        model.fit(*collections())
    for ours, theirs in zip(model.coefs_, expected.coefs_, strict=True):
        assert_array_equal(ours, theirs)
    assert model.loss_curve_ == expected.loss_curve_
    assert "is gone: its rows are with" in caplog.text
    client.wait_for_workers(2)


def test_the_last_worker_goes_while_its_address_is_asked_for():
    """The client may have heard of it before the scheduler has: then it does not wait, and asks again."""

    class Client:
        answers, waits = [{}, {}, {"tcp://b": 1, "tcp://a": 1}], 0

        def nthreads(self):
            return self.answers.pop(0)

        def wait_for_workers(self, n_workers, timeout):
            self.waits += 1

    client = Client()
    assert Cluster(client).wait_for_workers() == ["tcp://a", "tcp://b"]
    assert client.waits == 2


def test_all_workers_are_killed_at_once(client):
    params = dict(hidden_layer_sizes=(6,), max_iter=4, random_state=0)
    expected = DaskMLPClassifier(**params | dict(max_iter=2)).fit(*collections())

    model = DaskMLPClassifier(**params, callbacks=At(2, lambda state: kill_all_of(client)))
    with pytest.raises(RuntimeError, match="all workers of the cluster were lost at the same time"):
        model.fit(*collections())
    for ours, theirs in zip(model.coefs_, expected.coefs_, strict=True):
        assert_array_equal(ours, theirs)
    assert model.n_iter_ == 2
    client.restart()
    client.wait_for_workers(2)
    model.set_params(callbacks=None, warm_start=True).fit(*collections())


def test_workers_are_replaced(own_client):
    """Those that are closed hand their rows over to others: nothing is lost, and the model is the same."""
    params = dict(hidden_layer_sizes=(6,), max_iter=4, random_state=0)
    parts = collections(2)
    expected = DaskMLPClassifier(**params).fit(*parts)
    before = list(own_client.nthreads())

    def replace(state):
        own_client.cluster.scale(4)
        own_client.wait_for_workers(4)
        own_client.retire_workers(before, close_workers=True)

    model = DaskMLPClassifier(**params, callbacks=At(2, replace)).fit(*parts)
    assert not set(before) & set(own_client.nthreads())
    for ours, theirs in zip(model.coefs_, expected.coefs_, strict=True):
        assert_array_equal(ours, theirs)


def test_blocks_that_cannot_be_read_again_are_lost(own_client):
    params = dict(hidden_layer_sizes=(6,), max_iter=4, random_state=0)
    blocks = [own_client.scatter([part[:2000], part[2000:]]) for part in (X, Y)]
    expected = DaskMLPClassifier(**params | dict(max_iter=2)).fit(*blocks)

    def kill(state):
        os.kill(own_client.run(os.getpid)[max(own_client.nthreads())], signal.SIGKILL)

    model = DaskMLPClassifier(**params, callbacks=At(2, kill))
    with pytest.raises(RuntimeError, match=r"client\.scatter has sent cannot be read again"):
        model.fit(*blocks)
    assert model.n_iter_ == 2
    assert_array_equal(model.coefs_[0], expected.coefs_[0])


def kill_all_of(client):
    for pid in client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)


def test_all_workers_are_killed_while_rows_are_encoded(own_client, monkeypatch):
    def slow(encoder, parts):
        time.sleep(600)

    monkeypatch.setattr("fastbp.dask.rows.encode", slow)
    timer = threading.Timer(2, kill_all_of, [own_client])
    timer.start()
    with pytest.raises(RuntimeError, match="all workers of the cluster were lost at the same time"):
        DaskMLPClassifier((6,)).fit(*collections())
    timer.join()


def test_all_workers_are_killed_while_a_collection_is_computed(own_client):
    array = da.from_array(X, chunks=(2000, -1)).map_blocks(lambda block: time.sleep(600), meta=X[:0]).persist()
    cluster = Cluster(own_client)
    cluster.look()
    timer = threading.Timer(1, kill_all_of, [own_client])
    timer.start()
    with pytest.raises(RuntimeError, match="all workers of the cluster were lost at the same time"):
        cluster.places(partitions_of(array))
    timer.join()


def test_workers_that_join_are_used_in_the_next_round(cluster, client, monkeypatch):
    monkeypatch.setattr(fastbp.dask.epochs, "SECONDS_BETWEEN_LOOKS", 0)
    params = dict(hidden_layer_sizes=(6,), max_iter=4, random_state=0, batch_size=50, sync_every=3)
    counts = []

    class Rounds(Callback):
        """Adds a worker after the first round of the second epoch, and counts the shards after each round of it."""

        def on_window_end(self, state):
            if state.epoch == 1:
                counts.append(len(shards_of(client)))
                if len(counts) == 1:
                    cluster.scale(3)
                    client.wait_for_workers(3)

    def shards_of(client):
        return [w for w, keys in client.has_what().items() if any("fastbp-encode" in str(key) for key in keys)]

    try:
        model = DaskMLPClassifier(**params, callbacks=Rounds()).fit(*collections())
    finally:
        cluster.scale(2)
    assert counts[0] == 2
    assert len(counts) > 2
    assert set(counts[1:]) == {3}
    # in the epoch in which the rows are divided anew, a batch of a shard may have some more or fewer of them
    assert abs(model.t_ - 4 * len(X)) <= 50
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_rows_are_divided_anew_where_rounds_are_short(cluster, client, monkeypatch):
    """With three workers there are fewer steps than with two, and some rounds have none."""
    monkeypatch.setattr(fastbp.dask.epochs, "SECONDS_BETWEEN_LOOKS", 0)
    x, y = da.from_array(X[:60], chunks=(5, -1)), da.from_array(Y[:60], chunks=5)
    params = dict(hidden_layer_sizes=(4,), batch_size=2, sync_every=1, max_iter=1, random_state=0)
    steps = []

    class More(Callback):
        def on_window_end(self, state):
            if not steps:
                cluster.scale(3)
                client.wait_for_workers(3)
            steps.append(state.rows_in_epoch)

    try:
        model = DaskMLPClassifier(**params, callbacks=More()).fit(x, y)
    finally:
        cluster.scale(2)
    assert len(steps) == 30  # rounds of the epoch, as it began
    assert 0 in np.diff(steps)
    assert np.isfinite(model.loss_)


def test_the_worker_that_gets_the_average_is_retired(own_client):
    """Between two looks at the workers, which take place once a second."""
    params = dict(hidden_layer_sizes=(6,), max_iter=3, random_state=0, batch_size=100, sync_every=5)
    parts = collections(2)
    expected = DaskMLPClassifier(**params).fit(*parts)

    class Retire(Callback):
        def on_window_end(self, state):
            if state.epoch == 1 and len(own_client.nthreads()) == 2:
                own_client.retire_workers([min(own_client.nthreads())], close_workers=True)

    model = DaskMLPClassifier(**params, callbacks=Retire()).fit(*parts)
    assert_array_equal(model.coefs_[0], expected.coefs_[0])
