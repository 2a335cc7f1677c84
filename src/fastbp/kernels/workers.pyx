"""The Python threads of one call, which starts them and closes them at its end.

A thread that was started may never run: memory may be exhausted, and no thread gets the GIL while the interpreter
exits. Therefore no thread waits for a worker that has not arrived, and a worker that arrives after `close` returns at
once.
After a fork the child has no workers.
"""

import _thread

cimport cython
from libc.stdint cimport int64_t

from fastbp.kernels.forks cimport count_of_forks

from fastbp.kernels.interrupts import check_signals


cdef class Workers:
    """Threads that work for the one that starts them.

    Attributes
    ----------
    closed : bool
        Whether workers that arrive now return at once.
    error : BaseException or None
        The first exception that a worker met.
    """

    def __init__(self):
        workers_init(&self.c)
        self.forks = count_of_forks()

    def start(self, work, int64_t count):
        """Start up to `count` threads, as many as the system allows.

        Parameters
        ----------
        work : callable
            ``work(number)``, called by each worker that arrives in time; numbers begin at 1.
        count : int

        Returns
        -------
        n_started : int
        """
        cdef int64_t number
        for number in range(1, count + 1):
            try:
                _thread.start_new_thread(self._run, (work, number))
            except (RuntimeError, MemoryError):  # no more threads
                return number - 1
        return count

    def _run(self, work, int64_t number):
        try:
            check_signals()
        except BaseException as error:
            # sent to the thread that started this one: CPython confuses the two threads until the new one has started
            self._fail(error)
        if not workers_arrive(&self.c):
            return
        try:
            work(number)
        except BaseException as error:
            self._fail(error)
        finally:
            workers_depart(&self.c)

    def _fail(self, error):
        """Keep the first exception, and tell all threads to stop."""
        with cython.critical_section(self):  # the GIL, where there is one
            if self.first_error is None:
                self.first_error = error
        self.halt()

    @property
    def error(self):
        with cython.critical_section(self):  # a worker may replace the object between its read and its new reference
            return self.first_error

    @property
    def closed(self):
        return self.is_closed()

    def close(self):
        """From now on workers that arrive return at once."""
        workers_close(&self.c)

    def raise_error(self):
        """Raise the exception that a worker met, if there is one, and forget it."""
        with cython.critical_section(self):
            error, self.first_error = self.first_error, None
        if error is not None:
            raise error

    cdef bint is_closed(self) noexcept nogil:
        """`closed`."""
        return workers_closed(&self.c)

    cdef int64_t n_arrived(self) noexcept nogil:
        return workers_arrived(&self.c)

    cdef bint await_arrivals(self, int64_t count, double seconds) noexcept nogil:
        """Wait for `count` workers, for some seconds at most. Whether they have arrived."""
        return workers_await_arrivals(&self.c, count, seconds)

    cdef bint await_departures(self, double seconds) noexcept nogil:
        """Wait for the workers that have arrived, for some seconds at most. Whether all of them have departed, or this
        process is the child of a fork, which has none."""
        return self.in_child() or workers_await_departures(&self.c, seconds)

    cdef bint in_child(self) noexcept nogil:
        """Whether this process was forked off since the workers were started: they are in the parent."""
        return count_of_forks() != self.forks

    cdef void halt(self) noexcept nogil:
        """Ask all threads to stop before their work is done."""
        workers_halt(&self.c)

    cdef bint halted(self) noexcept nogil:
        """Whether the threads were asked to stop."""
        return workers_halted(&self.c)
