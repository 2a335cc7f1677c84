"""The threads of one call; `workers.pyx`."""

import _thread
import threading

import pytest

import fastbp.kernels.workers
from fastbp.kernels.workers import Workers
from running_threads import LONG, count_threads, wait_for_threads


@pytest.fixture
def held(monkeypatch):
    """Threads are not started but noted; gives the list of what they would run."""
    noted = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda function, arguments: noted.append((function, arguments)))
    return noted


def test_workers_are_numbered_and_end():
    before, numbers, all_there = count_threads(), [], threading.Barrier(4)

    def work(number):
        numbers.append(number)
        all_there.wait(LONG)

    workers = Workers()
    assert workers.start(work, 3) == 3
    all_there.wait(LONG)
    assert sorted(numbers) == [1, 2, 3]
    assert wait_for_threads(before) <= before
    assert workers.error is None
    assert not workers.closed


def test_a_worker_that_arrives_late_returns_at_once(held):
    workers, numbers = Workers(), []
    assert workers.start(numbers.append, 2) == 2
    (function, arguments), late = held
    function(*arguments)
    workers.close()
    late[0](*late[1])
    assert numbers == [1]


@pytest.mark.parametrize("refusal", [RuntimeError("can't start new thread"), MemoryError()], ids=str)
def test_as_many_as_the_system_allows(refusal, monkeypatch):
    started = []

    def start(function, arguments):
        if len(started) == 2:
            raise refusal
        started.append(arguments)

    monkeypatch.setattr(_thread, "start_new_thread", start)
    assert Workers().start(print, 5) == 2


def test_other_errors_while_threads_are_started_reach_the_caller(monkeypatch):
    def interrupted(function, arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_thread, "start_new_thread", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Workers().start(print, 1)


def test_the_first_error_is_kept_and_raised_once(held):
    errors = [ZeroDivisionError("first"), KeyError("second")]

    def work(number):
        raise errors[number - 1]

    workers = Workers()
    workers.raise_error()  # there is none
    workers.start(work, 2)
    for function, arguments in held:
        function(*arguments)
    assert workers.error is errors[0]
    with pytest.raises(ZeroDivisionError, match="first"):
        workers.raise_error()
    assert workers.error is None
    workers.raise_error()


@pytest.mark.parametrize("late", [False, True])
def test_an_exception_that_reaches_the_wrong_thread_is_kept(late, held, monkeypatch):
    def check_signals():
        raise TimeoutError

    monkeypatch.setattr(fastbp.kernels.workers, "check_signals", check_signals)
    workers, numbers = Workers(), []
    workers.start(numbers.append, 1)
    if late:
        workers.close()
    ((function, arguments),) = held
    function(*arguments)
    assert numbers == ([] if late else [1])  # it was not meant for this thread
    with pytest.raises(TimeoutError):
        workers.raise_error()
