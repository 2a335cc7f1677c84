"""The cost of a round of `fastbp.dask`: a formula, and a simulation of its messages and tasks.

In a round, the client sends the state to a worker, from which the others fetch it; each worker takes `sync_every`
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
#: Workers that fetch from one at the same time, on other hosts: Dask's distributed.worker.connections.incoming. Others
#: get the answer that it is busy, and ask again after some seconds (distributed 2026.8)
FETCHES_AT_ONCE, RETRY_SECONDS = 10, 0.15
#: Parameters of `Cluster` that are measured on one machine
CONSTANTS = ("round_seconds", "task_seconds", "worker_seconds", "copy_seconds")
#: Rounds of an epoch, where rows per second were measured to compare
ROUNDS = 5


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

    @property
    def state_seconds(self):
        """tuple of float: of the core that copies a state, and of the line that carries it."""
        return self.copy_seconds * self.state_bytes, self.state_bytes / self.bytes_per_second

    @property
    def retry_seconds(self):
        """float: until a worker that found the others busy asks again. If a copy takes less time than the scheduler
        needs for a task, workers ask one after the other, and none is busy."""
        return RETRY_SECONDS if max(self.state_seconds) > self.task_seconds else 0.0


def groups_of(n):
    """How many states each task of a level combines: `FAN_IN`, the last one those that are left."""
    return [min(FAN_IN, n - i) for i in range(0, n, FAN_IN)]


def combining_levels(n_workers):
    """The levels of the tree of averages: for each, how many states each of its tasks combines."""
    levels, n = [], n_workers
    while n > 1:
        levels.append(groups_of(n))
        n = len(levels[-1])
    return levels


def waves_of(n_workers):
    """The waves in which workers fetch the state: for each, how many have it before, and how many get it."""
    waves, n_holders = [], 1
    while n_holders < n_workers:
        waves.append((n_holders, min(FETCHES_AT_ONCE * n_holders, n_workers - n_holders)))
        n_holders += waves[-1][1]
    return waves


def copies_of_waves(n_workers):
    """How many copies the busiest worker sends in each wave."""
    return [math.ceil(n_new / n_holders) for n_holders, n_new in waves_of(n_workers)]


def bytes_on_the_busiest_line(cluster):
    """Bytes of a round, in one direction, of the first worker. It gets the state, and those that it combines on each
    level; it sends copies in each wave, and the average."""
    n = cluster.n_workers
    into = 1 + sum(sizes[0] - 1 for sizes in combining_levels(n))
    out = sum(copies_of_waves(n)) + 1
    return cluster.state_bytes * max(into, out)


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
    copy, line = cluster.state_seconds
    # several messages at one end: the line and the core work at the same time
    slow, fast = max(copy, line), min(copy, line)
    waves = copies_of_waves(n)
    largest = [max(level) for level in combining_levels(n)]
    return {
        "steps": steps,
        "stragglers": cluster.spread * math.sqrt(2 * math.log(n)) * steps,
        "tasks": cluster.round_seconds
        + cluster.task_seconds * count_tasks(n)
        + cluster.worker_seconds * (1 + len(largest))
        + trip,
        "broadcast": sum(k * slow + fast + copy + 2 * trip for k in waves)
        + max(0, len(waves) - 1) * cluster.retry_seconds,
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
    """The time after which all hosts have the sum of their states if they form a ring (Patarasuk and Yuan 2009).

    Each sends and receives 2 (n - 1) / n of a state, the fewest bytes possible, in 2 (n - 1) messages of half a round
    trip, one after the other.
    """
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
        copy, line = c.state_seconds

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
                self.cluster.round_seconds,
                lambda: self.send(self.head, self.workers[0], lambda: self.spread(waves_of(len(self.workers)))),
            )

    def spread(self, waves):
        """Workers fetch the state from those that have it, until all have it."""
        if not waves:
            self.begin_steps()
            return
        ((n_holders, n_new), *others), begin = waves, self.events.now
        retry = self.cluster.retry_seconds if others else 0.0

        def next_wave():
            # the others have asked again and again since this wave began
            wait = (begin - self.events.now) % retry if retry else 0.0
            self.events.after(wait, lambda: self.spread(others))

        arrived = countdown(n_new, lambda: self.later(0.5, next_wave))
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


def predict_rate(constants, net, sync_every, n_workers, n_cores):
    """Rows per second on one machine by the simulation, with `ROUNDS` rounds in an epoch.

    Parameters
    ----------
    constants : dict
        step_seconds, by the number of busy workers, as a string, and net; those of `CONSTANTS`.
    net : Net
        Or any object with its name, n_params and batch_size.
    sync_every, n_workers : int
        A single worker averages nothing, and an epoch is a round.
    n_cores : int
        Of the machine, whose lines and latencies are a matter of the copies.

    Returns
    -------
    float
    """
    step = constants["step_seconds"][str(min(n_workers, n_cores))][net.name]
    n_steps = ROUNDS * sync_every if n_workers == 1 else sync_every
    known = {name: constants[name] for name in CONSTANTS}
    cluster = Cluster(n_workers, step, net.n_params, n_steps, **known, **on_one_machine(n_cores))
    return n_workers * n_steps * net.batch_size / simulate(cluster)


def on_one_machine(n_cores):
    """Parameters of `Cluster` for workers that share a machine: lines and latencies are a matter of the copies."""
    return {"bytes_per_second": 1e12, "round_trip": 0.0, "n_cores": n_cores}


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
