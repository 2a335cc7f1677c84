"""Ctrl-C after a given amount of work, and the amount of work until it is handled.

Work is measured in processor seconds of this process, compared with those of other work in the same process: the
result does not depend on the speed or the load of the machine.
"""

import signal
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import fastbp.kernels.predictor
import fastbp.kernels.slicing
import fastbp.kernels.training


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


# Delays that are counted in checks for signals


def denormals_count():
    """Whether the floating-point unit is as Python knows it."""
    return sys.float_info.min / 2 > 0


def check_with(patch, function):
    """Have the compiled loops call `function` to check for signals, after every step and every slice."""
    patch.setattr(fastbp.kernels.slicing, "FLOPS_BETWEEN_CHECKS", 1.0)
    for module in (fastbp.kernels.training, fastbp.kernels.predictor):
        patch.setattr(module, "check_signals", function)


class Clock:
    """Counts the checks; at one of them a signal comes, whose handler raises TimeoutError."""

    def __init__(self, last=None):
        self.checks, self.last, self.modes = 0, last, set()

    def __call__(self):
        self.checks += 1
        self.modes.add(denormals_count())
        here = threading.get_ident() == threading.main_thread().ident
        if here and self.last is not None and self.checks >= self.last:
            self.last = None
            signal.raise_signal(signal.SIGINT)


@contextmanager
def time_out_at_sigint():
    """Within the block, the handler of SIGINT raises TimeoutError."""

    def handler(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
