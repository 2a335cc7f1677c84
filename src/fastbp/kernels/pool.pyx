"""Chunks of Python work, each done by the next free thread. Derivatives use it.

There are two ways to share work, a `Team` and a `Pool`. Both start and end their threads by `Workers`.

- A `Team` runs phases of compiled code, with barriers between them. No Python runs in a phase, so its leader can wait
  until all workers have finished.
- A `Pool` hands out chunks that run Python: for derivatives, a chunk slices arrays, makes a `Linearization` and calls
  functions of it. Python delivers signals in such code, and a signal handler may raise, or fork. In the child of the
  fork the workers are gone, and a leader that waited for them would never return. In a pool no thread waits for
  another one before the end: the pool notes which chunks are done, stops early after an exception, and in a child the
  calling thread does what is not done.

The calling thread takes chunks like its workers, and does all of them if no worker arrives.
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

    Attributes
    ----------
    n_chunks : int
    halted : bool
        Whether to stop without finishing the current chunk.
    """

    cdef readonly int64_t n_chunks
    cdef int64_t next_chunk  # read and written under the GIL, as are the chunks that are done
    cdef bytearray done
    cdef Workers workers

    def __init__(self, int64_t n_chunks):
        self.n_chunks, self.done, self.workers = n_chunks, bytearray(n_chunks), Workers()

    @property
    def halted(self):
        return self.workers.halted()

    def __iter__(self):
        """The numbers of the chunks for the calling thread to do; each counts as done when the next is taken."""
        cdef int64_t chunk
        while self.next_chunk < self.n_chunks and not self.workers.halted():
            chunk = self.next_chunk
            self.next_chunk += 1
            if not self.done[chunk]:
                yield chunk
                self.done[chunk] = True

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
            self.next_chunk = 0  # the chunks that workers had begun are finished in the parent, not here
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
