"""Pieces of work for threads that may or may not come.

A thread that was started may never run: the system may refuse it the memory that it begins with, and the interpreter
lets none run when it exits. So nobody waits for a helper that has not come: the thread that asks for the work takes all
pieces that nobody else has taken, and then waits for those who are at one. A helper that comes later finds the pool
closed and returns at once.
"""

import _thread

from libc.stdint cimport int64_t

from fastbp.kernels.forks cimport count_of_forks

from fastbp.kernels.interrupts import look_outside

# how often a thread that waits for its helpers looks whether somebody pressed Ctrl-C
cdef double SECONDS_BETWEEN_CHECKS = 0.05


cdef class Pool:
    """Pieces of work, numbered from 0, for the thread that asks for them and its helpers.

    Parameters
    ----------
    n_pieces : int
    """

    def __init__(self, int64_t n_pieces):
        pool_init(&self.c)
        self.n_pieces = n_pieces
        self.done_bytes = bytearray(n_pieces)
        self.done = <unsigned char *> <char *> self.done_bytes
        self.errors = []
        self.forks = count_of_forks()

    cdef int64_t take(self) noexcept nogil:
        """The number of a piece for the caller to do; -1 when there are no more."""
        cdef int64_t piece
        while not pool_is_halted(&self.c):
            piece = pool_take(&self.c)
            if piece >= self.n_pieces:
                break
            if not self.done[piece]:
                return piece
        return -1

    cdef void finish(self, int64_t piece) noexcept nogil:
        """Note that a piece is done."""
        self.done[piece] = 1

    cdef bint is_halted(self) noexcept nogil:
        """Whether to stop without finishing the piece at hand."""
        return pool_is_halted(&self.c)

    def __iter__(self):
        """The numbers of the pieces for the caller to do; each is done when the next is asked for."""
        cdef int64_t piece = self.take()
        while piece >= 0:
            yield piece
            self.finish(piece)
            piece = self.take()

    @property
    def halted(self):
        """bool: whether to stop without finishing the piece at hand."""
        return self.is_halted()

    def run(self, work, int64_t n_threads):
        """Have all pieces done.

        Parameters
        ----------
        work : callable
            ``work(pool)`` does the pieces over which the pool iterates, until there are no more. Called once by each
            thread that takes part. A piece must not mind being done again from its beginning.
        n_threads : int
            At most so many threads take part, this one among them.

        Raises
        ------
        BaseException
            The first one that `work` raised, in whichever thread, or what comes from outside (see `look_outside`). The
            other threads have stopped then.
        """
        own = None
        try:
            self.start_helpers(work, n_threads - 1)
            work(self)
        except BaseException as error:
            own = error
            pool_halt(&self.c)
        self.closed = True
        while not self.has_emptied():
            if own is None:
                try:
                    look_outside()
                except BaseException as error:
                    own = error
                    pool_halt(&self.c)
        if own is None and count_of_forks() != self.forks:
            # this process is the child of a fork, and what helpers had begun was done in the parent
            pool_begin_again(&self.c)
            work(self)
        if own is not None:
            raise own
        if self.errors:
            raise self.errors[0]

    def start_helpers(self, work, int64_t n_helpers):
        """Start as many helpers as the system lets."""
        try:
            for _ in range(n_helpers):
                _thread.start_new_thread(self._help, (work,))
        except (RuntimeError, MemoryError):
            pass  # one thread does the work of all

    def _help(self, work):
        if self.closed:  # under the GIL, as is the closing
            return
        pool_come(&self.c)
        try:
            look_outside()  # before a new thread runs, CPython takes it for the one that started it
            work(self)
        except BaseException as error:
            pool_halt(&self.c)
            self.errors.append(error)
        finally:
            pool_leave(&self.c)

    cdef bint has_emptied(self):
        """Wait a while for the helpers that have come. Whether all of them have gone, or are the parent's."""
        cdef bint empty
        if count_of_forks() != self.forks:
            return True
        with nogil:
            empty = pool_await_leaving(&self.c, SECONDS_BETWEEN_CHECKS)
        return empty
