"""Chunks of work that threads take; `pool.pyx`. Threads that fail and forks: `test_faults`."""

import threading
import time

import pytest

import fastbp.kernels.pool
from fastbp.kernels.pool import Pool


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_chunk_is_done_once(n_threads):
    done = []
    Pool(100).run(done.extend, n_threads)
    assert sorted(done) == list(range(100))


def test_nobody_works_after_the_call():
    # small pools end while further threads are still arriving; without a GIL, at the very same time
    for _ in range(200):
        at_work = []

        def work(pool, at_work=at_work):
            at_work.append(threading.get_ident())
            list(pool)
            at_work.remove(threading.get_ident())

        Pool(3).run(work, 6)
        assert not at_work


def test_no_chunks():
    done = []
    Pool(0).run(done.extend, 3)
    assert not done


def test_an_error_in_a_worker_stops_all_and_reaches_the_caller():
    here, worker_is_there = threading.get_ident(), threading.Event()

    def work(pool):
        for chunk in pool:
            if threading.get_ident() == here:
                worker_is_there.wait(300)
            else:
                worker_is_there.set()
                raise ZeroDivisionError(f"in chunk {chunk}")
            while not pool.halted:
                time.sleep(0.001)

    with pytest.raises(ZeroDivisionError, match="in chunk"):
        Pool(1000).run(work, 2)


def test_an_error_in_the_calling_thread_stops_the_workers():
    here, worker_is_there, gone = threading.get_ident(), threading.Event(), []

    def work(pool):
        for _ in pool:
            if threading.get_ident() == here:
                worker_is_there.wait(300)
                raise KeyError
            worker_is_there.set()
            while not pool.halted:
                time.sleep(0.001)
            gone.append(True)
            return

    with pytest.raises(KeyError):
        Pool(1000).run(work, 2)
    assert gone == [True]


def test_a_signal_while_the_calling_thread_waits_stops_the_workers(monkeypatch):
    here, worker_is_there = threading.get_ident(), threading.Event()

    def interrupted():
        raise KeyboardInterrupt

    def work(pool):
        for _ in pool:
            if threading.get_ident() == here:
                worker_is_there.wait(300)
                return  # to wait for the worker
            worker_is_there.set()
            while not pool.halted:
                time.sleep(0.001)

    monkeypatch.setattr(fastbp.kernels.pool, "check_signals", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Pool(2).run(work, 2)
