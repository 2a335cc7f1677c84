"""Axes: from numbers to places, and the numbers that stand at an axis."""

from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

from fastbp.inspection.reports.page.numbers import plain, power_of_ten

#: Larger numbers are outside of the axis: the length of an axis is a finite number
LARGEST = 1e300

#: Steps between the numbers at an axis, times powers of ten
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """An axis of a chart.

    Parameters
    ----------
    low, high : float
        Its ends.
    begin, end : float
        Their places.
    log : bool
    whole : bool
        Whether only whole numbers stand at it.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False
    whole: bool = False

    def __call__(self, values):
        """The places of numbers: ndarray."""
        values = np.asarray(values, np.float64)
        low, high = self.low, self.high
        if self.log:
            values, low, high = np.log10(values), log10(low), log10(high)
        return self.begin + (values - low) / (high - low) * (self.end - self.begin)

    def ticks(self, most=6):
        """(value, text) of the numbers at the axis, at most so many."""
        if self.log:
            first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            if last - first >= 1:
                step = ceil((last - first + 1) / most)
                return [(10.0**e, power_of_ten(e)) for e in range(first, last + 1, step)]
        size = (self.high - self.low) / most
        power = 10.0 ** floor(log10(size))
        step = next(s * power for s in STEPS if s * power >= size * (1 - 1e-9))
        if self.whole:
            step = max(1.0, ceil(step))
        first = ceil(self.low / step - 1e-9)
        numbers = [round(k * step, 12 - floor(log10(step))) for k in range(first, first + most + 2)]
        return [(value, plain(value)) for value in numbers if value <= self.high + 1e-9 * step]


def limits(arrays, *, log=False, margin=0.04, include=()):
    """The ends of an axis that shows all numbers of some arrays.

    Parameters
    ----------
    arrays : list of ndarray
        What cannot be drawn is ignored: what is not finite, and on a logarithmic axis what is not above zero.
    log : bool
    margin : float
        Share of the length to leave free on both sides.
    include : sequence of float
        Further numbers to show.

    Returns
    -------
    low, high : float
    """
    values = np.concatenate([*(np.ravel(a).astype(np.float64) for a in arrays), np.asarray(include, np.float64)])
    values = np.clip(values[np.isfinite(values) & ((values > 0) | (not log))], -LARGEST, LARGEST)
    if not len(values):
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if log:
        low, high = max(low, high * 1e-30), high
        if high / low < 1.01:
            return low / 2, high * 2
        factor = (high / low) ** margin
        return low / factor, high * factor
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size or size < 1e-300:
        half = max(size * 0.1, 0.5)
        return low - half, high + half
    room = (high - low) * margin
    return low - room, high + room
