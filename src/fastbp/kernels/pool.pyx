"""Chunks of work. Each is done by the next free thread.

The calling thread takes chunks like its workers, and finishes the work alone if none of them arrives.
"""

from libc.stdint cimport int64_t

from fastbp.kernels.workers cimport Workers

from fastbp.kernels.interrupts import check_signals

# how often a thread that waits for its workers lets Python deliver signals
cdef double SECONDS_BETWEEN_CHECKS = 0.05


cdef class Pool:
    """Numbered chunks of work (0, 1, ...) for the calling thread and its workers.

    Parameters
    ----------
    n_chunks : int
    """

    def __init__(self, int64_t n_chunks):
        pool_init(&self.c)
        self.n_chunks = n_chunks
        self.done_bytes = bytearray(n_chunks)
        self.done = <unsigned char *> <char *> self.done_bytes
        self.workers = Workers()

    cdef int64_t take(self) noexcept nogil:
        """The number of a chunk for the calling thread to do; -1 when there are no more."""
        cdef int64_t chunk
        while not self.workers.halted():
            chunk = pool_take(&self.c)
            if chunk >= self.n_chunks:
                break
            if not self.done[chunk]:
                return chunk
        return -1

    cdef void finish(self, int64_t chunk) noexcept nogil:
        """Note that a chunk is done."""
        self.done[chunk] = 1

    cdef bint is_halted(self) noexcept nogil:
        """Whether to stop without finishing the current chunk."""
        return self.workers.halted()

    def __iter__(self):
        """The numbers of the chunks for the calling thread to do; each counts as done when the next is taken."""
        cdef int64_t chunk = self.take()
        while chunk >= 0:
            yield chunk
            self.finish(chunk)
            chunk = self.take()

    @property
    def halted(self):
        """bool: whether to stop without finishing the current chunk."""
        return self.is_halted()

    def run(self, work, int64_t n_threads):
        """Do all chunks.

        Parameters
        ----------
        work : callable
            ``work(pool)`` does the chunks over which the pool iterates, until there are no more. Called once by each
            thread that takes part. It must be possible to do a chunk again from its beginning.
        n_threads : int
            Most threads that take part, the calling one included.

        Raises
        ------
        BaseException
            The first exception that `work` raised in any thread, or that a signal handler raised (see
            `check_signals`). The other threads have stopped then.
        """
        own_error = None
        try:
            self.workers.start(lambda number: work(self), n_threads - 1)
            work(self)
        except BaseException as error:
            own_error = error
            self.workers.halt()
        self.workers.close()
        while not self.has_ended():
            if own_error is None:
                try:
                    check_signals()
                except BaseException as error:
                    own_error = error
                    self.workers.halt()
        if own_error is None and self.workers.in_child():
            # the chunks that workers had begun are finished in the parent, not here
            pool_begin_at(&self.c, 0)
            work(self)
        if own_error is not None:
            raise own_error
        self.workers.raise_error()

    def has_ended(self):
        """Wait some time for the workers. Whether all that have arrived have departed."""
        cdef bint ended
        with nogil:
            ended = self.workers.await_departures(SECONDS_BETWEEN_CHECKS)
        return ended
