"""Limit of BLAS to one thread during L-BFGS."""

import os
import threading
from contextlib import contextmanager

from fastbp.compatibility import threadpool_controller

#: The block that has set the limit, with the key "holder"; empty if there is none. ``setdefault`` is atomic; a lock
#: could remain locked in the child of a fork.
HELD = {}


class OneBlasThread:
    """Limits BLAS to one thread inside a ``with`` block, unless another block does so already.

    The threads of the BLAS that NumPy calls between two evaluations, for the penalty, spin, and so slow down the
    threads of the fit. The limit applies to the whole process. One block at a time sets it and restores it, so that the
    limit is the original one in the end, however blocks overlap; the other blocks set it when it is free.
    """

    def __init__(self):
        self.limiter = None
        self.thread = threading.get_ident()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *exception):
        self.release()

    def acquire(self):
        """Set the limit, unless another block has set it."""
        if HELD.setdefault("holder", self) is self and self.limiter is None:
            try:
                self.limiter = threadpool_controller().limit(limits=1, user_api="blas")
                self.limiter.__enter__()
            except BaseException:
                self.release()
                raise

    def release(self):
        """Restore the original limit, if this block has set it."""
        if HELD.get("holder") is self:
            limiter, self.limiter = self.limiter, None
            try:
                if limiter is not None:
                    limiter.__exit__(None, None, None)
            finally:
                del HELD["holder"]

    @contextmanager
    def lifted(self):
        """Lift the limit within a block for a while."""
        self.release()
        try:
            yield
        finally:
            self.acquire()


def _restore_in_child():
    """After a fork, restore the limit that a thread outside of the child has set."""
    holder = HELD.get("holder")
    if holder is not None and holder.thread != threading.get_ident():
        holder.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_in_child)
