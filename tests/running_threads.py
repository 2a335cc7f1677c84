"""The threads of the process, including those of the kernels, which `threading` does not know."""

import _thread
import time

#: Seconds after which a thread that still runs will not end; only a hang comes near.
LONG = 300.0


def count_threads():
    """How many threads were started and have not ended."""
    return _thread._count()


def wait_for_threads(n, arriving=False, seconds=LONG):
    """Wait until no more than `n` threads run, or, with `arriving`, no fewer. How many run then.

    A thread counts for a moment after its last line.
    """
    deadline = time.monotonic() + seconds
    while (count_threads() < n if arriving else count_threads() > n) and time.monotonic() < deadline:
        time.sleep(0.001)
    return count_threads()
