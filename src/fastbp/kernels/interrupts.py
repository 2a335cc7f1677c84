"""Interruptions while the kernels run: Ctrl-C, signal handlers that raise, exceptions that another thread sends."""

import signal
import threading
from contextlib import contextmanager


class Stopping(threading.local):
    """What each thread asks at its checks for signals: a function, or None."""

    is_wanted = None


STOPPING = Stopping()


def check_signals():
    """Let Python deliver signals, in the main thread, and exceptions that another thread has sent to this one; raise
    KeyboardInterrupt if this thread is to stop: see `stopped_when`.

    The interpreter delivers both whenever it begins to run a function written in Python. The function of Python's C
    interface for this purpose, ``PyErr_CheckSignals``, delivers signals only, and not exceptions sent by another thread
    (``PyThreadState_SetAsyncExc``, which time-out helpers use).
    """
    if STOPPING.is_wanted is not None and STOPPING.is_wanted():
        raise KeyboardInterrupt


@contextmanager
def stopped_when(is_wanted):
    """Within this block, have `check_signals` raise KeyboardInterrupt in this thread as soon as a function says so.

    Unlike an exception that another thread sends, this one comes at the checks only, never where a thread cleans up.

    Parameters
    ----------
    is_wanted : callable
        Returns a bool.
    """
    before, STOPPING.is_wanted = STOPPING.is_wanted, is_wanted
    try:
        yield
    finally:
        STOPPING.is_wanted = before


#: Exceptions that computations raise when they fail
FAILURES = (
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
)


def is_interruption(error, users_functions=()):
    """Whether an exception is an interruption from outside, and no failure of the work itself.

    Ctrl-C is one, and what a signal handler or `check_signals` raised. An exception that another thread sends can also
    arrive in any other line of Python code: an exception of a type that computations do not raise counts as sent,
    unless it was raised in the user's code.

    Parameters
    ----------
    error : BaseException
        The signal handlers must not have changed since it was raised.
    users_functions : sequence of function
        The functions that call the user's code, such as callbacks.

    Returns
    -------
    bool
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    codes, traceback = set(), error.__traceback__  # of the functions that the exception has passed through
    while traceback is not None:
        codes.add(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    if check_signals.__code__ in codes:
        return True
    if any(code_of(signal.getsignal(number)) in codes for number in signal.valid_signals()):
        return True
    is_users = any(function.__code__ in codes for function in users_functions)
    return not is_users and not isinstance(error, FAILURES)


def code_of(handler):
    """The code of a signal handler that is a function, a method or an object with ``__call__``; else None."""
    if not callable(handler):
        return None
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", type(handler).__call__)
    return getattr(handler, "__code__", None)
