"""The tasks of a fit on a cluster: where they run, how their results are combined, what is repeated after a failure."""

import logging
from uuid import uuid4

from fastbp.dask.rounds import combine, this_worker

LOGGER = logging.getLogger("fastbp.dask")

#: Contributions that one task combines
FAN_IN = 8
#: How often a round is sent again when what it needs was lost with a worker
ATTEMPTS = 5
#: Seconds to wait for a first worker
SECONDS_FOR_WORKERS = 60
#: Seconds between two looks at which workers there are, while tasks are waited for
SECONDS_BETWEEN_LOOKS = 1


def client_of(estimator):
    """The client that an estimator uses.

    Parameters
    ----------
    estimator : DaskMLPClassifier or DaskMLPRegressor

    Returns
    -------
    distributed.Client

    Raises
    ------
    ValueError
        If it has none, and there is no default one, or if it is closed.
    """
    from distributed import get_client

    client, kind = vars(estimator).get("_client"), type(estimator).__name__
    if client is not None and client.status in ("closing", "closed"):
        raise ValueError(f"the client of this {kind} is closed: make a new one, and set it, as model.client = client")
    if client is not None:
        return client
    try:
        return get_client()
    except ValueError as error:
        raise ValueError(
            f"{kind} needs a Dask client: make one before, as client = distributed.Client(...), or set it, as "
            f"model.client = client. For data on one machine use {kind.removeprefix('Dask')}"
        ) from error


def leave_thread_to_others():
    """In a task, have its worker run other tasks on this thread, such as those that the task waits for."""
    from distributed import secede
    from distributed.threadpoolexecutor import thread_state

    if this_worker() is not None and getattr(thread_state, "proceed", False):  # it has not left it already
        secede()


class Cluster:
    """The workers behind a client. Made in a task, it leaves the task's thread to others: a worker may have no other.

    Parameters
    ----------
    client : distributed.Client

    Attributes
    ----------
    has_lost_rows : bool
        Whether all workers were gone at once, or what cannot be computed again was lost with one.
    """

    def __init__(self, client):
        self.client, self.receiver, self.has_lost_rows = client, None, False
        self.known = set()  # the addresses of the workers at the last look
        leave_thread_to_others()
        self.rows = []  # futures of partitions or shards

    def wait_for_workers(self):
        """The addresses of the workers, sorted; where there is none, it waits for one.

        Returns
        -------
        list of str

        Raises
        ------
        RuntimeError
            If there is none after `SECONDS_FOR_WORKERS`.
        """
        while not (workers := sorted(self.client.nthreads())):
            try:
                self.client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
            except TimeoutError as error:
                raise RuntimeError(
                    f"the cluster has no worker, after {SECONDS_FOR_WORKERS} seconds of waiting: {self.client!r}"
                ) from error
        return workers

    def wait(self, futures):
        """Wait until futures are there.

        Parameters
        ----------
        futures : list of Future

        Raises
        ------
        RuntimeError
            If all workers are gone at once. Dask would wait for ever: tasks that were meant for a worker do not go to
            workers that come when there is none.
        """
        from distributed import wait

        is_done = False
        while not is_done:
            try:
                with self.client.as_current():
                    wait(futures, timeout=SECONDS_BETWEEN_LOOKS)
                is_done = True
            except TimeoutError:
                self.look()

    def look(self):
        """Note which workers there are; RuntimeError if none of those is left that there were at the last look, unless
        some have handed their rows over before they were closed."""
        now = set(self.client.nthreads())
        if self.receiver not in now:
            self.receiver = None
        if self.known and not self.known & now and not self.has_rows():
            self.has_lost_rows = True
            raise RuntimeError(
                "all workers of the cluster were lost at the same time, and the rows with them. A model that was in "
                "training has the weights of the last round. Call client.restart(), so that Dask forgets the tasks "
                "that wait for them, and go on with warm_start=True, or, from a checkpoint, with fit(..., "
                "resume_from=path)"
            )
        self.known = now

    def has_rows(self):
        """bool: whether a worker holds some of the rows."""
        return bool(self.rows) and any(self.client.who_has(self.rows).values())

    def result(self, future):
        """The result of a future; see `wait`."""
        self.wait([future])
        return future.result()

    def raise_errors_of(self, futures):
        """Wait for futures, whose results stay where they are, and raise the first exception that one of them has; see
        `wait`."""
        self.wait(futures)
        for future in futures:
            error = future.exception()
            if error is not None:
                raise error

    def gather(self, futures):
        """The results of futures; see `wait`."""
        self.wait(futures)
        return self.client.gather(futures)

    def submit(self, worker, function, *arguments):
        """The future of a call on a worker; on another one if that is gone.

        Parameters
        ----------
        worker : str or None
        function : callable
        *arguments : object
            Futures are replaced by their results.

        Returns
        -------
        Future
        """
        where = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        key = f"fastbp-{function.__name__}-{uuid4().hex}"
        return self.client.submit(function, *arguments, key=key, **where)

    def send(self, value):
        """The future of a value that the client has. One worker gets it from the scheduler, and the others from each
        other when they need it: Dask's own broadcast waits for half a minute for a worker that has just died."""
        for _ in range(ATTEMPTS):
            self.receiver = self.receiver or self.wait_for_workers()[0]
            try:
                return self.client.scatter(value, workers=[self.receiver], hash=False)
            except KeyError as error:  # that worker has left since
                self.receiver, reason = None, error
        raise RuntimeError(f"no worker stays to take data, in {ATTEMPTS} attempts: {self.client!r}") from reason

    def compute(self, worker, delayed):
        """The future of a delayed object, computed on a worker; on another one if that is gone."""
        return self.client.compute(delayed, workers=[worker], allow_other_workers=True)

    def places(self, partitions):
        """The worker that holds each partition in memory, or the only partition that it is made of; of several workers
        the first one by address; None if none does. Waits for partitions that are being computed.

        Parameters
        ----------
        partitions : list of delayed objects or futures

        Returns
        -------
        list of (str or None)
        """
        from distributed import Future

        keys = [key_in_memory(part, self.client) for part in partitions]
        futures = [Future(key, self.client) for key in keys if key is not None]
        self.raise_errors_of(futures)
        holders = self.client.who_has(futures) if futures else {}
        return [None if key is None else min(holders.get(key, ()), default=None) for key in keys]

    def combined(self, futures):
        """The mean of contributions: a tree of tasks, in which each combines `FAN_IN` of them.

        Parameters
        ----------
        futures : list of Future

        Returns
        -------
        Contribution
        """
        while len(futures) > 1:
            groups = [futures[i : i + FAN_IN] for i in range(0, len(futures), FAN_IN)]
            futures = [group[0] if len(group) == 1 else self.submit(None, combine, group) for group in groups]
        return self.result(futures[0])

    def repeated(self, attempt):
        """The result of ``attempt()``, which is called again when data that the client has sent were lost with a
        worker. What is lost of the rows, Dask computes again itself, unless they were sent by ``client.scatter``.

        Parameters
        ----------
        attempt : callable

        Returns
        -------
        object

        Raises
        ------
        RuntimeError
            If data are lost in all of `ATTEMPTS` attempts.
        """
        from distributed import CancelledError

        for _ in range(ATTEMPTS):
            try:
                return attempt()
            except (CancelledError, OSError) as error:  # OSError: a connection was closed
                LOGGER.warning("data were lost with a worker, and are sent again: %s", error)
                self.receiver, reason = None, error
        self.has_lost_rows = True
        raise RuntimeError(
            f"data were lost with a worker, and still are after {ATTEMPTS} attempts: {reason}. Blocks that "
            "client.scatter has sent cannot be read again: give a collection that can be computed again, such as "
            "delayed blocks. A model that was in training has the weights of the last round"
        ) from reason


def key_in_memory(part, client):
    """The key of what a client holds of a partition: of the partition itself, or of the only one that it is made of, as
    some columns of a data frame in memory are.

    Parameters
    ----------
    part : delayed object or future
    client : distributed.Client

    Returns
    -------
    str or tuple or None
        None if it holds nothing, or the partition is made of several.
    """
    key, graph = part.key, getattr(part, "__dask_graph__", dict)()
    while key not in client.futures:
        needed = tuple(getattr(graph.get(key), "dependencies", ()))
        if len(needed) != 1:
            return None
        (key,) = needed
    return key
