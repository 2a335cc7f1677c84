"""What comes from outside while the kernels run: Ctrl-C, time-outs, exceptions sent to a thread."""

import signal


def look_outside():
    """Let Python deliver what is waiting: signals in the main thread, and exceptions sent to this one.

    There is nothing in it, because the interpreter looks whenever it begins to run a function of Python. The function
    of Python's C interface that is there for this, ``PyErr_CheckSignals``, does not see exceptions that another thread
    sent (``PyThreadState_SetAsyncExc``, which time-out helpers use).
    """
    return


#: What computations raise when they fail
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


def is_from_outside(error, users_functions=()):
    """Whether an exception came from outside, so that nothing has failed.

    That is Ctrl-C, and what a signal handler or `look_outside` raised. An exception that was sent to the thread can
    also arrive in any other line of Python: one of a kind that computations do not raise is taken for such, unless it
    was raised in the user's code.

    Parameters
    ----------
    error : BaseException
        While the signal handlers are those that there were when it was raised.
    users_functions : sequence of function
        Those that call the user's code, such as callbacks.

    Returns
    -------
    bool
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    passed, step = set(), error.__traceback__
    while step is not None:
        passed.add(step.tb_frame.f_code)
        step = step.tb_next
    if look_outside.__code__ in passed:
        return True
    if any(code_of(signal.getsignal(number)) in passed for number in signal.valid_signals()):
        return True
    is_users = any(function.__code__ in passed for function in users_functions)
    return not is_users and not isinstance(error, FAILURES)


def code_of(handler):
    """The code of a signal handler that is a function, a method or an object with ``__call__``; else None."""
    if not callable(handler):
        return None
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", type(handler).__call__)
    return getattr(handler, "__code__", None)
