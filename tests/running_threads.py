"""The threads that run now, the kernels' among them, which `threading` does not know of."""

import _thread
import time

#: Seconds after which a thread that still runs will not end; only a hang comes near.
LONG = 60.0


def count_threads():
    """How many threads were started and have not ended."""
    return _thread._count()


def wait_for_threads(n, seconds=LONG):
    """Wait until as many threads run. How many run then: a thread counts for a moment after its last line."""
    deadline = time.monotonic() + seconds
    while count_threads() != n and time.monotonic() < deadline:
        time.sleep(0.001)
    return count_threads()
