"""Series of workloads, which show how the time depends on the number of rows and on the number of layers.

A new series is an entry of `SERIES`, and its workloads.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from workloads import WORKLOADS


def cost_per_row(points):
    """Compare the cost of a row at different numbers of rows.

    Parameters
    ----------
    points : list of (Workload, float)
        Workloads with their seconds per epoch.

    Returns
    -------
    dict
        ``ns_per_row`` by the number of rows, and ``deviation``, (b − a) / (b + a) with the smallest cost a and the
        largest b: all costs are within this share of one constant.
    """
    costs = {workload.n_samples: 1e9 * seconds / workload.n_samples for workload, seconds in points}
    low, high = min(costs.values()), max(costs.values())
    return {"ns_per_row": costs, "deviation": (high - low) / (high + low)}


def describe_cost_per_row(figures):
    """Put the result of `cost_per_row` into words."""
    costs = ", ".join(f"{cost:.1f} ns at {n:,} rows" for n, cost in figures["ns_per_row"].items())
    return f"an epoch's time per row: {costs}; linear within ±{100 * figures['deviation']:.1f} %"


def overhead_per_layer(points):
    """Fit a line to the time of a step over the number of layers, by least squares.

    Parameters
    ----------
    points : list of (Workload, float)
        Workloads with their seconds per epoch.

    Returns
    -------
    dict
        ``us_per_step`` by the number of layers of weights, ``us_per_layer``, the slope, and ``us_besides``, the
        intercept.
    """
    steps = {len(w.layer_sizes) - 1: 1e6 * seconds / w.steps_per_epoch for w, seconds in points}
    slope, intercept = statistics.linear_regression(list(steps), list(steps.values()))
    return {"us_per_step": steps, "us_per_layer": slope, "us_besides": intercept}


def describe_overhead_per_layer(figures):
    """Put the result of `overhead_per_layer` into words."""
    steps = ", ".join(f"{us:.2f} µs with {layers} layers" for layers, us in figures["us_per_step"].items())
    return f"a step: {steps}; {figures['us_per_layer']:.3f} µs a layer + {figures['us_besides']:.2f} µs"


@dataclass(frozen=True)
class Series:
    """Workloads that differ in one number.

    Parameters
    ----------
    name : str
        Its name on the command line, which selects all its workloads. Their names begin with it.
    title : str
        Its name in what is printed.
    derive : callable
        Takes a list of (workload, seconds per unit); returns a dict of figures.
    describe : callable
        Takes these figures; returns a sentence.
    """

    name: str
    title: str
    derive: Callable
    describe: Callable

    @property
    def members(self):
        """Names of its workloads."""
        return [name for name in WORKLOADS if name.startswith(f"{self.name}-")]


SERIES = {
    series.name: series
    for series in (
        Series("rows", "Cost over the number of rows, 20-100-2", cost_per_row, describe_cost_per_row),
        Series(
            "depth",
            "Overhead of a layer, 8 units wide, 8 rows a step",
            overhead_per_layer,
            describe_overhead_per_layer,
        ),
    )
}


def derive_series(workloads, rows):
    """Compute the figures of each series, if all its workloads were measured.

    Parameters
    ----------
    workloads : list of workloads.Workload
        What was timed.
    rows : list of dict
        See `report.make_rows`.

    Returns
    -------
    list of dict
        With the keys series, title, dtype, peer, sentence and those of the series' figures.
    """
    by_name = {workload.name: workload for workload in workloads}
    found = []
    for series in SERIES.values():
        seconds = {}
        for row in rows:
            if row["workload"] in series.members:
                seconds.setdefault((row["dtype"], row["peer"]), {})[row["workload"]] = 1e-3 * row["ms_per_unit"]
        for (dtype, peer), measured in seconds.items():
            if len(measured) == len(series.members):
                figures = series.derive([(by_name[name], measured[name]) for name in series.members])
                where = {"series": series.name, "title": series.title, "dtype": dtype, "peer": peer}
                found.append({**where, "sentence": series.describe(figures), **figures})
    return found
