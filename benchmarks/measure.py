"""Timing: medians of the differences between a longer and a shorter run; the contenders take turns.

The time of an epoch is (time of k + m epochs − time of k epochs) / m. Fixed costs of a fit, such as validation,
allocation and the start of threads, cancel in it. If the unit of work is a whole call or a whole fit, k is 0 and
nothing cancels. Contenders take turns, in every other round in the reverse order, so that a machine that slows down or
is shared slows all of them alike.
"""

import math
import statistics
from dataclasses import dataclass, field

from contender import Contender, ContenderError

# A number of threads is not measured if its estimated time is more than this many times the best.
CLEARLY_SLOWER = 1.5
# A difference of two times that is not positive is measured again, at most so often: other work disturbed it.
ATTEMPTS = 5


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Parameters
    ----------
    repeats : int
        Differences that are measured for each contender.
    min_seconds : float
        The least time that the m units of a difference should take together.
    slow_seconds : float
        A unit that takes longer is slow.
    slow_repeats : int
        Differences that are measured if a unit is slow.
    tries_all_cores : bool
        Whether peers are tried with all cores too, not only with one thread.
    """

    repeats: int
    min_seconds: float
    slow_seconds: float
    slow_repeats: int
    tries_all_cores: bool


FULL = Plan(repeats=5, min_seconds=0.2, slow_seconds=1.0, slow_repeats=3, tries_all_cores=True)
QUICK = Plan(repeats=2, min_seconds=0.01, slow_seconds=0.1, slow_repeats=1, tries_all_cores=False)


@dataclass
class Timing:
    """What was measured of one contender.

    Parameters
    ----------
    contender : contender.Contender
        The contender.
    base : int
        k, the length of the shorter run; 0 for none.
    units : int
        m, the difference between the longer and the shorter run.
    repeats : int
        How many differences to take.
    estimate : float
        Seconds of a unit, as found while choosing `units`.
    samples : list of float
        Seconds of a unit, one for each repeat.
    """

    contender: Contender
    base: int
    units: int
    repeats: int
    estimate: float
    samples: list = field(default_factory=list)

    @property
    def seconds_per_unit(self):
        """The median over the repeats."""
        return statistics.median(self.samples)

    @property
    def is_complete(self):
        """Whether it has all samples."""
        return len(self.samples) >= self.repeats

    def take_sample(self, long_first):
        """Measure one difference and append it to `samples`.

        Raises
        ------
        contender.ContenderError
            If the contender fails, or if no difference is positive.
        """
        counts = [n for n in (self.base, self.base + self.units) if n]
        for _ in range(ATTEMPTS):
            seconds = {n: self.contender.seconds(n) for n in (counts[::-1] if long_first else counts)}
            difference = seconds[counts[-1]] - (seconds[self.base] if self.base else 0)
            if difference > 0:
                self.samples.append(difference / self.units)
                return
        raise ContenderError(f"{self.units} units more took no longer in {ATTEMPTS} attempts: the machine is too busy")


def open_contenders(peers, workload, dtype, n_cores, plan):
    """Start a process for every peer and every number of threads to try, all at the same time.

    Parameters
    ----------
    peers : list of peers.Peer
        The contender.
    workload : workloads.Workload
        The work.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    n_cores : int
        The cores this process may use.
    plan : Plan
        Whether all cores are tried.

    Returns
    -------
    list of contender.Contender
        In the order of `peers`.
    """
    return [
        Contender(peer, workload, dtype, n_threads)
        for peer in peers
        for n_threads in peer.thread_counts(workload, n_cores, plan.tries_all_cores)
    ]


def close_contenders(contenders):
    """End the processes, all at the same time.

    Parameters
    ----------
    contenders : list of contender.Contender
    """
    for contender in contenders:
        contender.dismiss()
    for contender in contenders:
        contender.close()


def calibrate(contender, job, plan):
    """Run a contender for the first time, and choose the number of units for a difference.

    Parameters
    ----------
    contender : contender.Contender
        A contender that is ready and has not run yet.
    job : jobs.Job
        The kind of work. A job that is done only once is measured here.
    plan : Plan
        The least time of a difference, and the number of them.

    Returns
    -------
    Timing
        Without samples, unless the job is done only once.
    """
    first = contender.seconds(max(job.base, 1))
    if job.once:
        return Timing(contender, 0, 1, 1, first, [first])
    base = contender.seconds(job.base) if job.base else 0
    units = 1
    while True:
        extra = contender.seconds(job.base + units) - base
        # A difference that is smaller than the noise may be zero or negative.
        if extra >= 0.8 * plan.min_seconds:
            estimate = extra / units
            repeats = plan.slow_repeats if estimate > plan.slow_seconds else plan.repeats
            return Timing(contender, job.base, units, repeats, estimate)
        growth = plan.min_seconds / extra if extra > 0 else math.inf
        units = math.ceil(units * min(max(growth, 1.5), 20))


def calibrate_all(contenders, job, plan):
    """Calibrate all contenders as soon as all are ready, and keep those that are not clearly slower.

    Parameters
    ----------
    contenders : list of contender.Contender
        Just started.
    job : jobs.Job
        The kind of work.
    plan : Plan
        See `calibrate`.

    Returns
    -------
    timings : list of Timing
        Without the numbers of threads that make a peer clearly slower, and without the peers that failed.
    failures : dict of str to str
        Key of each contender that failed with some number of threads -> message.
    """
    failures, timings = {}, []

    def attempt(contender, function, *arguments):
        try:
            return function(*arguments)
        except ContenderError as error:
            failures.setdefault(contender.key, str(error))

    for contender in contenders:
        attempt(contender, contender.wait_until_ready)
    for contender in contenders:
        if contender.key not in failures:
            timings.append(attempt(contender, calibrate, contender, job, plan))
    timings = [timing for timing in timings if timing and timing.contender.key not in failures]
    best = {}
    for timing in timings:
        name = timing.contender.key
        best[name] = min(timing.estimate, best.get(name, math.inf))
    return [t for t in timings if t.estimate <= CLEARLY_SLOWER * best[t.contender.key]], failures


def alternate(timings):
    """Take the samples of all contenders in turn, every other round in the reverse order.

    Parameters
    ----------
    timings : list of Timing
        Calibrated contenders; their `samples` are filled.

    Returns
    -------
    dict of str to str
        Key of each contender that failed -> message.
    """
    failures = {}
    for repeat in range(max((timing.repeats for timing in timings), default=0)):
        backwards = repeat % 2 == 1
        for timing in timings[::-1] if backwards else timings:
            name = timing.contender.key
            if name in failures or timing.is_complete:
                continue
            try:
                timing.take_sample(long_first=backwards)
            except ContenderError as error:
                failures[name] = str(error)
    return failures


def best_of_each_peer(timings):
    """Keep only the number of threads with the smallest median, for each peer.

    Parameters
    ----------
    timings : list of Timing
        With samples.

    Returns
    -------
    list of Timing
        One for each peer, in the order of `timings`.
    """
    best = {}
    for timing in timings:
        name = timing.contender.key
        if name not in best or timing.seconds_per_unit < best[name].seconds_per_unit:
            best[name] = timing
    return list(best.values())
