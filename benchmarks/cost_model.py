"""The cost of a round of `fastbp.dask`: a formula, and a simulation of its messages and tasks.

In a round, the client sends the state to a worker, from which it spreads in a tree; each worker takes `sync_every`
steps; tasks that combine up to eight states each average them in a tree; the client gets the average. Client and
scheduler are on the same host. docs/scaling.md derives the formula.
"""

import heapq
import itertools
import math
import random
from dataclasses import dataclass, replace

#: States that a task combines, as in fastbp.dask
FAN_IN = 8
#: Copies that each holder of a state sends at a time, Dask's default
BRANCHING = 2
#: Parameters of `Cluster` that are measured on one machine
CONSTANTS = ("round_seconds", "task_seconds", "worker_seconds", "copy_seconds")


@dataclass(frozen=True)
class Cluster:
    """What the time of a round depends on.

    Parameters
    ----------
    n_workers : int
        Of one thread each.
    step_seconds : float
        Of a step on one core.
    n_params : int
    sync_every : int
        Steps of a round.
    n_arrays : int, default=3
        Arrays of this size that are averaged: with Adam the parameters and two moments.
    bytes_per_second : float, default=10 Gbit/s
        Of each host's line, in each direction.
    round_trip : float, default=0.1 ms
        Seconds of a message and its answer.
    copy_seconds : float
        For a byte, to make a message of it, to read it, or to add it to a mean.
    task_seconds : float
        Of the scheduler and the client, for a task.
    worker_seconds : float
        Of a worker, for a task, whatever its steps.
    round_seconds : float
        For a round, whatever its tasks.
    spread : float, default=0
        Standard deviation of the time that a worker takes for its steps of a round, as a share of that time.
    n_cores : int or None, default=None
        That all workers share; None: a core for each.
    """

    n_workers: int
    step_seconds: float
    n_params: int
    sync_every: int
    n_arrays: int = 3
    bytes_per_second: float = 1.25e9
    round_trip: float = 1e-4
    copy_seconds: float = 0.0
    task_seconds: float = 0.0
    worker_seconds: float = 0.0
    round_seconds: float = 0.0
    spread: float = 0.0
    n_cores: int | None = None

    @property
    def state_bytes(self):
        """int: of a message with the state, in float32."""
        return 4 * self.n_params * self.n_arrays


def groups_of(n):
    """How many states each task of a level combines, as even as Dask's groups: the first ones are full."""
    return [min(FAN_IN, n - i) for i in range(0, n, FAN_IN)]


def combining_levels(n_workers):
    """The levels of the tree of averages: for each, how many states each of its tasks combines."""
    levels, n = [], n_workers
    while n > 1:
        levels.append(groups_of(n))
        n = len(levels[-1])
    return levels


def count_tasks(n_workers):
    """Tasks of a round."""
    return n_workers + sum(size > 1 for level in combining_levels(n_workers) for size in level)


def parts_of_round(cluster):
    """The parts of the time of a round, by the formula; where workers share cores, only the simulation counts that.

    Parameters
    ----------
    cluster : Cluster

    Returns
    -------
    dict of str to float
        Seconds: steps; stragglers, which the others wait for; tasks; broadcast; averages; client.
    """
    n, trip = cluster.n_workers, cluster.round_trip
    steps = cluster.sync_every * cluster.step_seconds
    copy, line = cluster.copy_seconds * cluster.state_bytes, cluster.state_bytes / cluster.bytes_per_second
    # several messages at one end: the line and the core work at the same time
    slow, fast = max(copy, line), min(copy, line)
    spreads = math.ceil(math.log(n, 1 + BRANCHING) - 1e-9)
    largest = [max(level) for level in combining_levels(n)]
    return {
        "steps": steps,
        "stragglers": cluster.spread * math.sqrt(2 * math.log(n)) * steps,
        "tasks": cluster.round_seconds
        + cluster.task_seconds * count_tasks(n)
        + cluster.worker_seconds * (1 + len(largest))
        + trip,
        "broadcast": spreads * (BRANCHING * slow + fast + copy + 2 * trip),
        "averages": sum(copy + (k - 1) * slow + fast + k * copy + 2 * trip for k in largest),
        "client": 2 * (line + 2 * copy + trip),
    }


def round_seconds(cluster):
    """The time of a round by the formula, in seconds."""
    return sum(parts_of_round(cluster).values())


def efficiency(cluster, seconds):
    """The share of a round of `seconds` in which a worker takes steps: rows/s divided by those without any cost."""
    return cluster.sync_every * cluster.step_seconds / seconds


def all_reduce_seconds(cluster):
    """The least time in which all hosts can have the sum of their states: each sends and receives 2 (n - 1) / n of it
    (Patarasuk and Yuan 2009), in 2 (n - 1) messages."""
    n = cluster.n_workers
    return 2 * (n - 1) / n * cluster.state_bytes / cluster.bytes_per_second + (n - 1) * cluster.round_trip


def steps_for(cluster, share):
    """The fewest steps of a round, of 1, 2, 5, 10, 20, …, with which the formula gives an efficiency of `share`."""
    for steps in (m * 10**k for k in itertools.count() for m in (1, 2, 5)):
        longer = replace(cluster, sync_every=steps)
        if efficiency(longer, round_seconds(longer)) >= share:
            return steps
        if steps > 10**7:
            return None


# The simulation


class Events:
    """What is to happen at which time, in seconds."""

    def __init__(self):
        self.now, self._waiting, self._number = 0.0, [], itertools.count()

    def after(self, seconds, action):
        """Call `action` in `seconds`."""
        heapq.heappush(self._waiting, (self.now + seconds, next(self._number), action))

    def run(self):
        """Let everything happen; the time of the last event."""
        while self._waiting:
            self.now, _, action = heapq.heappop(self._waiting)
            action()
        return self.now


class Resource:
    """A core or a line, or several that are alike: each serves one after the other, in the order of arrival."""

    def __init__(self, events, n=1):
        self.events, self.free_at = events, [0.0] * n

    def use(self, seconds, then, started=None):
        """Be busy for `seconds`, and call `then` at the end, `started` with the seconds until the beginning."""
        begin = max(self.events.now, heapq.heappop(self.free_at))
        heapq.heappush(self.free_at, begin + seconds)
        if started:
            started(begin - self.events.now)
        self.events.after(begin + seconds - self.events.now, then)


class Host:
    """A host: cores, and a line out and one in."""

    def __init__(self, events, cores=None):
        self.cores = cores or Resource(events)
        self.out, self.into = Resource(events), Resource(events)


class Simulation:
    """Rounds on a cluster.

    Parameters
    ----------
    cluster : Cluster
    seed : int, default=0
        Of the times of the steps, if they are not all alike.
    """

    def __init__(self, cluster, seed=0):
        self.cluster, self.events, self.random = cluster, Events(), random.Random(seed)
        shared = Resource(self.events, cluster.n_cores) if cluster.n_cores else None
        self.workers = [Host(self.events, shared) for _ in range(cluster.n_workers)]
        # the scheduler and the client: their work, one after the other
        self.head = Host(self.events, shared)
        self.scheduler = Resource(self.events)

    def run(self, n_rounds=20):
        """Seconds of a round, the mean of `n_rounds`."""
        self.rounds_left = n_rounds
        self.begin_round()
        return self.events.run() / n_rounds

    def later(self, round_trips, then):
        """Call `then` when messages have gone so many times to another host and back."""
        self.events.after(round_trips * self.cluster.round_trip, then)

    def send(self, source, target, then):
        """Send the state from a host to another one that asks for it."""
        c = self.cluster
        copy, line = c.copy_seconds * c.state_bytes, c.state_bytes / c.bytes_per_second

        def arrived():
            target.cores.use(copy, then)

        def on_line():
            # the target receives the first byte half a round trip after it was sent
            def started(wait):
                self.events.after(wait + c.round_trip / 2, lambda: target.into.use(line, arrived))

            source.out.use(line, lambda: None, started)

        self.events.after(c.round_trip / 2, lambda: source.cores.use(copy, on_line))

    def begin_round(self):
        """The client sends the state to a worker."""
        if self.rounds_left:
            self.rounds_left -= 1
            self.scheduler.use(
                self.cluster.round_seconds, lambda: self.send(self.head, self.workers[0], lambda: self.spread(1))
            )

    def spread(self, n_holders):
        """The workers that have the state send it to others, until all have it."""
        n_new = min(BRANCHING * n_holders, len(self.workers) - n_holders)
        if not n_new:
            self.begin_steps()
            return
        arrived = countdown(n_new, lambda: self.later(0.5, lambda: self.spread(n_holders + n_new)))
        for i in range(n_new):
            source, target = self.workers[i % n_holders], self.workers[n_holders + i]
            self.later(0.5, lambda source=source, target=target: self.send(source, target, arrived))

    def begin_steps(self):
        """The scheduler sends a task to each worker, which takes the steps of the round."""
        c, levels = self.cluster, combining_levels(self.cluster.n_workers)
        finished = self.combine(levels, self.workers)
        for number, worker in enumerate(self.workers):
            steps = c.sync_every * c.step_seconds * max(0.1, self.random.gauss(1, c.spread))

            def begin(worker=worker, seconds=c.worker_seconds + steps, number=number):
                worker.cores.use(seconds, lambda: self.later(0.5, lambda: finished(number)))

            self.scheduler.use(c.task_seconds, lambda begin=begin: self.later(0.5, begin))

    def combine(self, levels, holders):
        """What to call with the number of a holder of a state when that is there: the level of tasks that combines
        them, and those after it; at the end, the client gets the average."""
        if not levels:
            return lambda number: self.send(holders[number], self.head, self.begin_round)
        (sizes, *others), c = levels, self.cluster
        starts = list(itertools.accumulate(sizes, initial=0))
        finished = self.combine(others, [holders[start] for start in starts[:-1]])

        def make_task(group, size):
            home = holders[starts[group]]

            def add():
                seconds = c.worker_seconds + size * c.copy_seconds * c.state_bytes
                home.cores.use(seconds, lambda: self.later(0.5, lambda: finished(group)))

            def fetch():
                if size == 1:
                    finished(group)
                    return
                arrived = countdown(size - 1, add)
                for i in range(starts[group] + 1, starts[group] + size):
                    self.send(holders[i], home, arrived)

            return countdown(size, lambda: self.scheduler.use(c.task_seconds, lambda: self.later(0.5, fetch)))

        tasks = [make_task(group, size) for group, size in enumerate(sizes)]
        return lambda number: tasks[number // FAN_IN]()


def countdown(n, then):
    """A function that calls `then` when it is called for the n-th time."""
    left = itertools.count(n - 1, -1)
    return lambda: then() if next(left) == 0 else None


def simulate(cluster, n_rounds=20, seed=0):
    """Seconds of a round, the mean of some rounds of a simulation.

    Parameters
    ----------
    cluster : Cluster
    n_rounds : int, default=20
    seed : int, default=0

    Returns
    -------
    float
    """
    return Simulation(cluster, seed).run(n_rounds)
