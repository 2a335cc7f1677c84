"""BLAS on one thread while L-BFGS runs."""

import os
import threading
from contextlib import contextmanager

from sklearn.utils.parallel import _get_threadpool_controller

#: The block that holds the limit, under "holder"; empty when there is none. ``setdefault`` is atomic, and no lock could
#: stay locked in the child of a fork.
HELD = {}


class OneBlasThread:
    """Limits BLAS to one thread inside a ``with`` block, unless another block does so already.

    Beside the threads of a fit, those of the BLAS that SciPy calls between two evaluations would spin, each in the
    other's way: fits of wide nets took twice as long on two cores. But the limit is one of the process. One block at a
    time holds it, and whoever sets it puts it back, so that it ends where it began however blocks overlap; the others
    take their turn when it is free.
    """

    def __init__(self):
        self.limiter = None
        self.thread = threading.get_ident()

    def __enter__(self):
        self.take()
        return self

    def __exit__(self, *exception):
        self.give_back()

    def take(self):
        """Set the limit, if nobody holds it."""
        if HELD.setdefault("holder", self) is self and self.limiter is None:
            try:
                self.limiter = _get_threadpool_controller().limit(limits=1, user_api="blas")
                self.limiter.__enter__()
            except BaseException:
                self.give_back()
                raise

    def give_back(self):
        """Put back what there was, if this block holds the limit."""
        if HELD.get("holder") is self:
            limiter, self.limiter = self.limiter, None
            try:
                if limiter is not None:
                    limiter.__exit__(None, None, None)
            finally:
                del HELD["holder"]

    @contextmanager
    def lifted(self):
        """Inside a block, without its limit for a while."""
        self.give_back()
        try:
            yield
        finally:
            self.take()


def _put_back_in_child():
    """After a fork, for a holder whose thread is not in the child."""
    holder = HELD.get("holder")
    if holder is not None and holder.thread != threading.get_ident():
        holder.give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_put_back_in_child)
