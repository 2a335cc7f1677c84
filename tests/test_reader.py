"""The thread that makes calls, one after the other; `training/reader.py`."""

import threading

import pytest

from fastbp.training import Reader


def test_calls_are_made_in_order_in_one_thread():
    reader, names = Reader(), []
    results = [reader.start(lambda i=i: (names.append(threading.current_thread()), i)[1]) for i in range(5)]
    assert reader.call(lambda a, b: a + b, 3, 4) == 7
    assert [result.result() for result in results] == list(range(5))
    assert set(names) == {reader.thread}
    assert reader.thread.name == "fastbp-reader"
    reader.close()
    assert not reader.thread.is_alive()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, StopIteration])
def test_what_a_call_raises_is_raised_as_it_is(kind):
    def fail():
        raise error

    error, reader = kind("no"), Reader()
    with pytest.raises(kind) as raised:
        reader.call(fail)
    assert raised.value is error
    assert reader.call(int, "3") == 3  # the thread goes on
    reader.close()


def test_functions_at_the_end_are_called_in_the_thread_and_may_fail():
    def fail():
        threads.append(threading.current_thread())
        raise OSError("not closed")

    reader, threads = Reader(), []
    reader.at_end.append(fail)
    reader.call(int)
    with pytest.raises(OSError, match="not closed"):
        reader.close()
    assert threads == [reader.thread]
    reader.close()  # a second time it does nothing


def test_without_a_call_there_is_no_thread():
    reader = Reader()
    reader.close()
    assert reader.thread is None
