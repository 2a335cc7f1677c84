"""Threads that work through the phases of a task together; `team.pyx`. The task is one of Cython's, compiled here."""

import _thread
import threading
import time

import pytest

from compiled import compile_module, has_compiler, import_module
from fastbp.kernels.team import Team
from running_threads import count_threads, wait_for_threads

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C compiler is found")

TASK = """
# cython: language_level=3
from cpython.pythread cimport PyThread_release_lock
from libc.stdint cimport int64_t

from fastbp.kernels.team cimport Task, Team, parking_end


cdef class Counting(Task):
    '''Counts the calls of each thread in each phase, and those that came before all threads had done the last phase.

    Work goes on until the phase `last`.
    '''

    cdef int64_t calls[8][8]
    cdef int64_t n_threads, last
    cdef readonly int64_t too_early

    def __init__(self, n_threads, last=100):
        self.n_threads, self.last, self.too_early = n_threads, last, 0
        for phase in range(8):
            for thread in range(8):
                self.calls[phase][thread] = 0

    @property
    def counts(self):
        return [[self.calls[phase][thread] for thread in range(self.n_threads)] for phase in range(8)]

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        cdef int64_t other
        self.calls[phase][thread] += 1
        if phase and self.calls[phase - 1][thread]:
            for other in range(self.n_threads):
                if self.calls[phase - 1][other] < self.calls[phase][thread]:
                    self.too_early += 1
        return phase < self.last


def arrive(Team team, double seconds):
    with nogil:
        team.await_arrivals(seconds)
    return team.is_complete()


def share(Team team, Counting task, int64_t begin, int64_t end, int64_t times=1):
    cdef int64_t n_whole = 0
    with nogil:
        for _ in range(times):
            n_whole += team.share(task, begin, end)
    return n_whole


def await_order(Team team, int64_t thread, int64_t order):
    with nogil:
        team.await_order(thread, order)


def wake(Team team, int64_t thread):
    '''As `publish` wakes up a worker, without an order. False when the worker is not parked.'''
    if not parking_end(&team.parking[thread]):
        return False
    PyThread_release_lock(team.parking[thread].lock)
    return True


def publish(Team team):
    team.publish(NULL, 0, 0)


def run_alone(Team team, Counting task, int64_t begin, int64_t end):
    cdef bint go_on
    with nogil:
        go_on = team.run_alone(task, begin, end)
    return go_on
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    compile_module(folder, "fastbp_test_tasks", TASK)
    return import_module(folder, "fastbp_test_tasks")


def counts(n_threads, *by_phase):
    """How often each thread was called in the first phases; not at all in the others."""
    return [[n] * n_threads for n in by_phase] + [[0] * n_threads] * (8 - len(by_phase))


@pytest.mark.parametrize("n_threads", [1, 2, 3, 5])
def test_orders_of_any_number_of_phases(n_threads, tasks):
    team, task = Team(n_threads), tasks.Counting(n_threads)
    with team:
        assert tasks.arrive(team, 60)
        assert tasks.share(team, task, 0, 3, 500) == 500
        assert tasks.share(team, task, 0, 1) == tasks.share(team, task, 1, 3) == 1
        assert tasks.share(team, task, 0, 7, 500) == 500
    assert task.counts == counts(n_threads, 1001, 1001, 1001, 500, 500, 500, 500)
    assert task.too_early == 0


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_phase_that_ends_the_work(n_threads, tasks):
    team, task = Team(n_threads), tasks.Counting(n_threads, last=2)
    with team:
        assert tasks.arrive(team, 60)
        assert tasks.share(team, task, 0, 5, 300) == 0
        task.__init__(n_threads, last=5)
        assert tasks.share(team, task, 0, 5, 300) == 300
    assert task.counts == counts(n_threads, 300, 300, 300, 300, 300)


def test_tasks_may_take_turns(tasks):
    team, one, other = Team(2), tasks.Counting(2), tasks.Counting(2)
    with team:
        assert tasks.arrive(team, 60)
        for _ in range(100):
            tasks.share(team, one, 0, 2)
            tasks.share(team, other, 0, 3)
    assert (one.counts, other.counts) == (counts(2, 100, 100), counts(2, 100, 100, 100))


@pytest.mark.parametrize("pause", [0.0001, 0.001, 0.02])
def test_workers_that_have_parked_wake_up(pause, tasks):
    team, task = Team(3), tasks.Counting(3)
    with team:
        assert tasks.arrive(team, 60)
        for _ in range(20):
            time.sleep(pause)
            assert tasks.share(team, task, 0, 2) == 1
    assert task.counts == counts(3, 20, 20)


def test_a_worker_that_is_woken_up_too_early_waits_again(tasks):
    # for the order before, by a leader that was interrupted between publishing it and waking up this worker
    team = Team(2)
    worker = threading.Thread(target=tasks.await_order, args=(team, 1, 1))
    worker.start()
    for _ in range(3):
        while worker.is_alive() and not tasks.wake(team, 1):
            time.sleep(0.001)
        worker.join(0.01)
        assert worker.is_alive()
    tasks.publish(team)
    worker.join(60)
    assert not worker.is_alive()


def test_waiting_workers_use_no_processor(tasks):
    team = Team(3)
    with team:
        assert tasks.arrive(team, 60)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        time.sleep(0.3)
        used = (time.process_time() - begin_cpu) / (time.perf_counter() - begin)
    assert used < 0.2


def test_threads_live_in_the_outermost_block(tasks):
    before = count_threads()
    team = Team(3)
    assert count_threads() == before
    with team:
        with team:
            assert tasks.arrive(team, 60)
        assert tasks.arrive(team, 0)
        assert count_threads() == before + 2
    assert wait_for_threads(before) <= before
    assert not tasks.arrive(team, 0)
    with team:
        assert tasks.arrive(team, 60)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_alone(n_threads, tasks):
    team, task = Team(n_threads), tasks.Counting(n_threads, last=5)
    assert tasks.run_alone(team, task, 0, 4)
    assert task.counts == counts(n_threads, 1, 1, 1, 1)
    # the shares of the others are not done when the work ends
    assert not tasks.run_alone(team, task, 5, 7)
    assert task.counts[5:7] == [[1] + [0] * (n_threads - 1), [0] * n_threads]


def test_a_team_without_all_of_its_threads_is_not_complete(tasks, monkeypatch):
    start, calls = _thread.start_new_thread, []

    def second_refused(function, arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("can't start new thread")
        return start(function, arguments)

    before = count_threads()
    monkeypatch.setattr(_thread, "start_new_thread", second_refused)
    with Team(3) as team:
        assert wait_for_threads(before) <= before  # the one that came has left
        assert not tasks.arrive(team, 0.01)


def test_at_least_one_thread():
    with pytest.raises(ValueError, match="n_threads must be at least 1, got 0"):
        Team(0)
