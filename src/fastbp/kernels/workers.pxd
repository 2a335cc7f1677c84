"""The Python threads of one call."""

from libc.stdint cimport int64_t


cdef extern from "threads.h" nogil:
    ctypedef struct workers_t:
        pass
    void workers_init(workers_t *workers)
    bint workers_arrive(workers_t *workers)
    void workers_close(workers_t *workers)
    bint workers_closed(workers_t *workers)
    void workers_depart(workers_t *workers)
    int64_t workers_arrived(workers_t *workers)
    int workers_await_arrivals(workers_t *workers, int64_t count, double seconds)
    int workers_await_departures(workers_t *workers, double seconds)
    void workers_halt(workers_t *workers)
    int workers_halted(workers_t *workers)


cdef class Workers:
    cdef workers_t c
    cdef int64_t forks
    cdef object first_error

    cdef bint is_closed(self) noexcept nogil
    cdef int64_t n_arrived(self) noexcept nogil
    cdef bint await_arrivals(self, int64_t count, double seconds) noexcept nogil
    cdef bint await_departures(self, double seconds) noexcept nogil
    cdef bint in_child(self) noexcept nogil
    cdef void halt(self) noexcept nogil
    cdef bint halted(self) noexcept nogil
