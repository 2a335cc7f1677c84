"""Windows that a thread reads one ahead; `training/windows.py`. What fits make of them is in `test_fit_batches.py`."""

import threading

import pytest

from fastbp.training import Reader, TrainingWindow, Windows


def numbered(first, n_windows):
    """A function for `Windows`: the windows of an epoch, of epoch 0 from `first` on. Their data are (epoch, number)."""

    def read(epoch):
        for number in range(0 if epoch else first, n_windows):
            yield TrainingWindow((epoch, number))

    return read


def ignore(reads):
    """For tests that do not look at whether the thread reads."""


def test_all_windows_of_all_epochs_come_in_order():
    windows = Windows(Reader(), (0, 0), 30, numbered(1, 3), 2)
    windows.begin(0, ignore)
    found = [[window.data for window in windows.epoch()] for _ in range(2)]
    windows.close()
    assert found == [[(epoch, number) for number in range(3)] for epoch in range(2)]


def test_a_run_that_is_resumed_begins_with_its_epoch():
    windows = Windows(Reader(), (0, 0), 30, numbered(1, 3), 4)
    windows.begin(2, ignore)
    assert windows.current is None
    assert [window.data for window in windows.epoch()] == [(2, 0), (2, 1), (2, 2)]
    windows.close()


def test_one_window_is_read_ahead_and_no_more():
    read, second_is_asked_for = [], threading.Event()

    def reading(epoch):
        for number in range(1, 4):
            read.append(number)
            yield TrainingWindow((epoch, number))
            second_is_asked_for.set()

    windows = Windows(Reader(), (0, 0), 40, reading, 1)
    windows.begin(0, ignore)
    epoch = windows.epoch()
    assert next(epoch).data == (0, 0)
    assert not second_is_asked_for.wait(0.1)  # there are two windows in memory: this one, and number 1
    assert read == [1]
    assert [window.data for window in epoch] == [(0, 1), (0, 2), (0, 3)]
    windows.close()


def test_training_is_told_whether_the_thread_reads():
    states, is_told = [], []

    def note(reads):
        states.append((reads, threading.current_thread().name))
        is_told[:] = [reads]

    def reading(epoch):
        for number in range(1, 3):
            assert is_told == [True]
            yield TrainingWindow((epoch, number))

    windows = Windows(Reader(), (0, 0), 30, reading, 1)
    windows.begin(0, note)
    assert len(list(windows.epoch())) == 3
    windows.close()
    assert states == [(reads, "fastbp-reader") for _ in range(3) for reads in (True, False)]


def test_a_thread_that_fails_reads_no_more():
    states = []

    def reading(epoch):
        yield TrainingWindow((epoch, 1))
        raise error

    error = OSError("the disk is gone")
    windows = Windows(Reader(), (0, 0), 30, reading, 1)
    windows.begin(0, states.append)
    epoch = windows.epoch()
    assert [next(epoch).data, next(epoch).data] == [(0, 0), (0, 1)]
    with pytest.raises(OSError, match="the disk is gone") as raised:
        next(epoch)
    assert raised.value is error
    assert windows.failed
    windows.close()
    assert states[-1] is False


def test_closed_early_the_thread_ends_and_its_generator_is_closed():
    closed, begun = [], threading.Event()

    def reading(epoch):
        try:
            for number in range(1, 1000):
                begun.set()
                yield TrainingWindow((epoch, number))
        finally:
            closed.append(epoch)

    windows = Windows(Reader(), (0, 0), 10_000, reading, 5)
    windows.begin(0, ignore)
    assert next(windows.epoch()).data == (0, 0)
    assert begun.wait(60)
    windows.close()
    assert not windows.reader.thread.is_alive()
    assert closed == [0]
