"""Ctrl-C after a given amount of work, and the amount of work until it is handled.

Work is measured in processor seconds of this process, compared with those of other work in the same process: the
result does not depend on the speed or the load of the machine.
"""

import signal
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace


def processor_seconds(work, *arguments):
    """What ``work(*arguments)`` takes of all processors together."""
    begin = time.process_time()
    work(*arguments)
    return time.process_time() - begin


def press():
    """Ctrl-C, as a terminal sends it: the main thread gets the signal."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupt_after(seconds):
    """Press Ctrl-C when the block has taken so many seconds of the processors.

    Afterwards the value's `pressed` says whether it came so far, `delay` the seconds from then to the block's end.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a process that a shell starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    begin, ended, times = time.process_time(), threading.Event(), []
    result = SimpleNamespace(pressed=False, delay=None)

    def watch():
        while not ended.wait(1e-3):
            if time.process_time() - begin > seconds:
                times.append(time.process_time())
                press()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield result
    finally:
        end = time.process_time()
        ended.set()
        thread.join()
        if times:
            result.pressed, result.delay = True, end - times[0]
