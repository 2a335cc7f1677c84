"""A team of threads that run the phases of a task together.

The calling thread is the leader: it publishes an order, which phases of which task to run, and takes part in the work.
The other threads, the workers, wait for orders and run the phases, with a barrier between two phases. A worker waits
for the next order first by spinning, so that it starts without delay when orders follow each other closely, and then
parked at a lock.

The team is complete when all workers have arrived. Before that, if they never arrive, and in the child of a fork, the
leader works alone: it does the share of every thread, one after the other. The results of a task therefore do not
depend on whether workers arrive.
"""

from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
)
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from fastbp.kernels.processor cimport current_processor, flush_denormals, leave_processor, restore_denormals
from fastbp.kernels.workers cimport Workers

# Time that a worker waits for the next order before it parks: more than the shuffle and the Python code between two
# short epochs take. Waking up a parked worker takes about 50 microseconds.
cdef double AWAKE_SECONDS = 0.0003


cdef class Task:
    """Work for the threads of a team, in phases. Each phase has a share for every thread."""

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        return False


cdef class Team:
    """Threads that run the phases of tasks. A context manager: the workers live inside the ``with`` block.

    Blocks may be nested: the workers then live until the outermost one ends.

    Parameters
    ----------
    n_threads : int
        The calling thread included.

    Attributes
    ----------
    n_threads : int
    alone : bool
        Whether the leader works alone.
    """

    def __cinit__(self, int64_t n_threads):
        cdef int64_t thread
        cdef void *lock
        if n_threads < 1:
            raise ValueError(f"n_threads must be at least 1, got {n_threads}")
        self.n_threads = n_threads
        self.workers = Workers()
        self.parking = <parking_t *> calloc(n_threads, sizeof(parking_t))
        if self.parking == NULL:
            raise MemoryError
        for thread in range(1, n_threads):
            lock = PyThread_allocate_lock()
            parking_init(&self.parking[thread], lock)
            if lock == NULL:
                raise MemoryError
            PyThread_acquire_lock(lock, 1)

    def __dealloc__(self):
        cdef int64_t thread
        if self.parking != NULL:
            for thread in range(1, self.n_threads):
                if self.parking[thread].lock != NULL:
                    PyThread_free_lock(self.parking[thread].lock)
            free(self.parking)

    # The life of the workers

    def __enter__(self):
        """Start the workers. If the system cannot start all of them, those that arrive are dismissed."""
        cdef int64_t thread
        if self.n_contexts == 0:
            team_init(&self.c)
            for thread in range(1, self.n_threads):  # in the child of a fork, the parent's workers may have parked
                parking_init(&self.parking[thread], self.parking[thread].lock)
            self.n_orders = self.n_barriers = 0
            self.leader_processor = current_processor()
            self.workers = Workers()
            try:
                if self.workers.start(self._work, self.n_threads - 1) < self.n_threads - 1:
                    self.dismiss()
            except BaseException:
                self.dismiss()
                raise
        self.n_contexts += 1
        return self

    def __exit__(self, kind, error, traceback):
        self.n_contexts -= 1
        if self.n_contexts == 0:
            self.dismiss()
        if error is None:
            self.workers.raise_error()

    def dismiss(self):
        """Tell the workers to return, and wait for those that have arrived."""
        if self.workers.is_closed():
            return
        self.workers.close()
        if not self.workers.in_child():
            with nogil:
                self.publish(NULL, 0, 0)
                self.workers.await_departures(INFINITY)

    def raise_error(self):
        """Raise the exception that was sent to the calling thread and arrived in a worker, if there is one."""
        self.workers.raise_error()

    cdef bint is_complete(self) noexcept nogil:
        """Whether all workers have arrived."""
        return (self.workers.n_arrived() == self.n_threads - 1 and not self.workers.is_closed()
                and not self.workers.in_child())

    cdef int await_arrivals(self, double seconds) except -1 nogil:
        """Wait for the workers, for some seconds at most."""
        if not self.workers.is_closed() and not self.workers.in_child():
            self.workers.await_arrivals(self.n_threads - 1, seconds)
        return 0

    # By the leader

    cdef bint run(self, Task task, int64_t begin, int64_t end) noexcept nogil:
        """Run the phases [begin, end), by all threads or by this one. False when `work` returned False in one of them,
        which is then the last."""
        if not self.is_working():
            return self.run_alone(task, begin, end)
        return self.share(task, begin, end)

    cdef bint is_working(self) noexcept nogil:
        """Whether an order is for several threads."""
        return self.n_threads > 1 and not self.alone and self.is_complete()

    cdef bint share(self, Task task, int64_t begin, int64_t end) noexcept nogil:
        """`run` by all threads of a complete team."""
        cdef bint all_done
        self.publish(<void *> task, begin, end)
        all_done = self.run_phases(0, &self.n_barriers)
        team_await_finish(&self.c, self.n_orders, self.n_threads)
        return all_done

    cdef bint run_alone(self, Task task, int64_t begin, int64_t end) noexcept nogil:
        """`run` by this thread: in each phase the shares of all threads."""
        cdef int64_t phase, thread
        for phase in range(begin, end):
            for thread in range(self.n_threads):
                if not task.work(phase, thread):
                    return False
        return True

    cdef void publish(self, void *task, int64_t begin, int64_t end) noexcept nogil:
        """Publish the next order, and wake up the workers that are parked."""
        cdef int64_t thread
        self.task, self.begin, self.end = task, begin, end
        self.n_orders += 1
        team_publish(&self.c)
        for thread in range(1, self.n_threads):
            if parking_end(&self.parking[thread]):
                PyThread_release_lock(self.parking[thread].lock)

    # By every thread

    cdef bint run_phases(self, int64_t thread, int64_t *n_barriers) noexcept nogil:
        """A thread's shares of the phases of an order, with a barrier between two phases. `n_barriers` counts the
        barriers that this thread has passed; the count is the same in all threads."""
        cdef int64_t phase, begin = self.begin, end = self.end
        cdef void *task = self.task  # read once: the leader writes to the same cache line
        for phase in range(begin, end):
            if phase > begin:
                n_barriers[0] += 1
                team_barrier(&self.c, n_barriers[0], self.n_threads)
            if not (<Task> task).work(phase, thread):
                return False
        return True

    # By the workers

    def _work(self, int64_t thread):
        with nogil:
            self.follow_orders(thread)

    cdef void follow_orders(self, int64_t thread) noexcept nogil:
        """Carry out the leader's orders until it dismisses the workers."""
        cdef unsigned long long mode = flush_denormals()
        cdef int64_t order = 1, n_barriers = 0
        leave_processor(self.leader_processor)
        self.await_order(thread, order)
        while self.task != NULL:
            self.run_phases(thread, &n_barriers)
            team_finish(&self.c)
            order += 1
            self.await_order(thread, order)
        restore_denormals(mode)

    cdef void await_order(self, int64_t thread, int64_t order) noexcept nogil:
        """Wait for an order, the longer part of it parked.

        A leader that was interrupted while it woke up the workers for the order before may wake up this one too early.
        """
        while not team_await_order(&self.c, order, AWAKE_SECONDS):
            if parking_begin(&self.parking[thread], &self.c, order):
                PyThread_acquire_lock(self.parking[thread].lock, 1)
