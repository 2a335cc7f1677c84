"""What comes from outside while the kernels run: Ctrl-C, time-outs, exceptions sent to a thread."""

import signal


def look_outside():
    """Let Python deliver what is waiting: signals in the main thread, and exceptions sent to this one.

    There is nothing in it, because the interpreter looks whenever it begins to run a function of Python. The function
    of Python's C interface that is there for this, ``PyErr_CheckSignals``, does not see exceptions that another thread
    sent (``PyThreadState_SetAsyncExc``, which time-out helpers use).
    """
    return


def is_from_outside(error):
    """Whether an exception is Ctrl-C, or was raised by a signal handler or by `look_outside`: nothing has failed then.

    Parameters
    ----------
    error : BaseException
        While the signal handlers are those that there were when it was raised.

    Returns
    -------
    bool
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    doors = {look_outside.__code__, *(code_of(signal.getsignal(number)) for number in signal.valid_signals())} - {None}
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code in doors:
            return True
        step = step.tb_next
    return False


def code_of(handler):
    """The code of a signal handler that is a function, a method or an object with ``__call__``; else None."""
    if not callable(handler):
        return None
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", type(handler).__call__)
    return getattr(handler, "__code__", None)
