"""How it is timed: differences between runs of different length, in turn, medians.

One epoch is (time of k + m epochs − time of k epochs) / m, so that what a fit costs once, such as
validation, allocation or the start of threads, cancels. Contenders take turns, in one order and
then in the other, so that a machine that slows down or is shared slows them alike.
"""

import math
import statistics
from dataclasses import dataclass, field

from contender import Contender, ContenderError

# A number of threads whose one estimate is beyond this ratio to the best is given up.
CLEARLY_SLOWER = 1.5


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Parameters
    ----------
    repeats : int
        Differences taken of each contender.
    min_seconds : float
        The least time that the m epochs of a difference should take together.
    min_epochs : int
        The least m, however slow an epoch is.
    base_epochs : int, default=1
        k, the length of the shorter run.
    """

    repeats: int
    min_seconds: float
    min_epochs: int
    base_epochs: int = 1


FULL = Plan(repeats=5, min_seconds=0.2, min_epochs=3)
QUICK = Plan(repeats=3, min_seconds=0.05, min_epochs=1)


@dataclass
class Timing:
    """What was measured of one contender.

    Parameters
    ----------
    contender : contender.Contender
        Who.
    epochs : int
        m, the difference between the longer and the shorter run.
    estimate : float
        Seconds of an epoch, as found while choosing `epochs`.
    samples : list of float
        Seconds of an epoch, one for each repeat.
    """

    contender: Contender
    epochs: int
    estimate: float
    samples: list = field(default_factory=list)

    @property
    def seconds_per_epoch(self):
        """The median over the repeats."""
        return statistics.median(self.samples)

    def take_sample(self, plan, long_first):
        """Measure one difference and append it to `samples`."""
        counts = [plan.base_epochs, plan.base_epochs + self.epochs]
        seconds = {n: self.contender.seconds(n) for n in (counts[::-1] if long_first else counts)}
        self.samples.append((seconds[counts[1]] - seconds[counts[0]]) / self.epochs)


def calibrate(contender, plan):
    """Warm a contender up and choose how many epochs a difference needs.

    Parameters
    ----------
    contender : contender.Contender
        A contender that has not run yet.
    plan : Plan
        The least time and the least number of epochs.

    Returns
    -------
    Timing
        Without samples so far.
    """
    contender.wait_until_ready()
    contender.seconds(plan.base_epochs)
    base = contender.seconds(plan.base_epochs)
    epochs = plan.min_epochs
    while True:
        extra = contender.seconds(plan.base_epochs + epochs) - base
        # A difference may come out as zero or less while it is smaller than the noise.
        if extra >= 0.8 * plan.min_seconds:
            return Timing(contender, epochs, extra / epochs)
        growth = plan.min_seconds / extra if extra > 0 else math.inf
        epochs = math.ceil(epochs * min(max(growth, 1.5), 20))


def calibrate_peer(peer, workload, dtype, n_cores, plan):
    """Calibrate a peer with every number of threads worth a try.

    Parameters
    ----------
    peer : peers.Peer
        Who.
    workload : workloads.Workload
        On what.
    dtype : {"float32", "float64"}
        In which arithmetic.
    n_cores : int
        The cores this process may use.
    plan : Plan
        See `calibrate`.

    Returns
    -------
    list of Timing
        Those that are still in the race; the clearly slower ones are closed.

    Raises
    ------
    contender.ContenderError
        When the peer fails with any number of threads.
    """
    timings = []
    for n_threads in peer.thread_counts(n_cores):
        contender = Contender(peer, workload, dtype, n_threads)
        try:
            timings.append(calibrate(contender, plan))
        except BaseException:
            for opened in (contender, *(timing.contender for timing in timings)):
                opened.close()
            raise
    limit = CLEARLY_SLOWER * min(timing.estimate for timing in timings)
    for timing in timings:
        if timing.estimate > limit:
            timing.contender.close()
    return [timing for timing in timings if timing.estimate <= limit]


def alternate(timings, plan):
    """Take the samples of all contenders in turn, every other round in the reverse order.

    Parameters
    ----------
    timings : list of Timing
        Calibrated contenders; their `samples` are filled.
    plan : Plan
        The number of repeats.

    Returns
    -------
    dict of str to str
        The message of each peer that failed on the way, by name.
    """
    failures = {}
    for repeat in range(plan.repeats):
        backwards = repeat % 2 == 1
        for timing in timings[::-1] if backwards else timings:
            name = timing.contender.peer.name
            if name in failures:
                continue
            try:
                timing.take_sample(plan, long_first=backwards)
            except ContenderError as error:
                failures[name] = str(error)
    return failures


def best_of_each_peer(timings):
    """Keep of each peer the number of threads with the least median.

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
        name = timing.contender.peer.name
        if name not in best or timing.seconds_per_epoch < best[name].seconds_per_epoch:
            best[name] = timing
    return list(best.values())
