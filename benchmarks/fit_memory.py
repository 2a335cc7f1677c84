"""Memory of `fit` beyond X and y, beside what it is made of.

    python benchmarks/fit_memory.py
    python benchmarks/fit_memory.py --json memory.json

The peak of what NumPy and Python allocate during a fit, by tracemalloc, which is the same in each run. The limit is
1.1 times the workspace of a batch plus 4 times the parameters: these, two moments of Adam, and a copy that is there
until the end. What depends on the number of rows comes on top: with shuffling, 8 bytes a row for the order of the rows,
and the targets in the type of the arithmetic, or the numbers of classes.
"""

import argparse
import json
import tracemalloc
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data import make_data
from peers.estimators import make_estimator
from report import significant
from workloads import BOTH, WORKLOADS

#: Fits of so few rows come first: what the first fit of a process allocates, and keeps, is not counted.
WARM_UP_ROWS = 600


@dataclass(frozen=True)
class Case:
    """A fit whose memory is measured.

    Parameters
    ----------
    workload : str
        A name in `workloads.WORKLOADS`.
    dtype : {"float32", "float64"}
    parameters : dict, default={}
        Of the estimator.
    """

    workload: str
    dtype: str
    parameters: dict = field(default_factory=dict)


CASES = [
    *(Case(name, dtype) for name in ("20-100-2", "20-64-64-1", "784-512-256-10", "2000-300-1") for dtype in BOTH),
    *(Case(name, "float32") for name in ("rows-100000", "rows-1000000", "1024-2048-2048-1000")),
    Case("20-64-64-1", "float32", {"shuffle": False}),
    Case("rows-100000", "float32", {"shuffle": False}),
    Case("rows-100000", "float32", {"early_stopping": True}),
]


def workspace_bytes(model, X, y, batch_size):
    """Bytes of the workspace of a batch: values and gradients of the nodes, targets, losses, transposed copies of the
    weights, sums of gradients. That of all rows is the same, but for the batch.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Fitted.
    X, y : ndarray
        At least a batch of rows, encoded as the network takes them.
    batch_size : int

    Returns
    -------
    int
    """
    network = model.network_
    data = network._make_data(X[:batch_size], y[:batch_size], None)
    before = tracemalloc.get_traced_memory()[0]
    loop = network.training_loop(data, batch_size, indexed=True)
    workspace = tracemalloc.get_traced_memory()[0] - before
    del loop
    return workspace


def measure(model, X, y, batch_size):
    """The memory of a fit.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Unfitted. It is fitted twice.
    X, y : ndarray
        Floats in regression; two or more classes, numbers from 0, else.
    batch_size : int
        That of the model.

    Returns
    -------
    dict
        Bytes: ``peak``, beyond X and y; ``workspace``; ``parameters``; ``limit``, see above; and ``bytes_per_row``,
        what the peak has more than the limit, divided by the rows.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[:WARM_UP_ROWS], y[:WARM_UP_ROWS])
        tracemalloc.start()
        try:
            model.fit(X, y)
            peak = tracemalloc.get_traced_memory()[1]
            is_binary = y.dtype.kind != "f" and model.network_.n_outputs == 1
            workspace = workspace_bytes(model, X, y.astype(X.dtype) if is_binary else y, batch_size)
        finally:
            tracemalloc.stop()
    parameters = model.network_.params.nbytes
    limit = int(1.1 * workspace + 4 * parameters)
    found = {"peak": peak, "workspace": workspace, "parameters": parameters, "limit": limit}
    return {**found, "bytes_per_row": (peak - limit) / len(X)}


def run(case):
    """Measure a case.

    Parameters
    ----------
    case : Case

    Returns
    -------
    dict
        See `measure`; with the ``workload``, ``dtype``, ``options``, ``n_rows`` and ``X``, its bytes.
    """
    workload = WORKLOADS[case.workload]
    X, y = make_data(workload, case.dtype)
    parameters = {"batch_size": workload.batch_size, "max_iter": 2, "tol": 0.0, "n_iter_no_change": np.inf}
    model = make_estimator("fastbp", workload, **parameters, **case.parameters)
    found = {"workload": case.workload, "dtype": case.dtype, "options": case.parameters, "n_rows": len(X)}
    return {**found, "X": X.nbytes, **measure(model, X, y, workload.batch_size)}


def format_row(row):
    """A line of the table."""
    options = ", ".join(f"{name}={value}" for name, value in row["options"].items())
    sizes = "".join(f"{significant(1e-6 * row[name]):>12}" for name in ("X", "peak", "limit"))
    name = " ".join([WORKLOADS[row["workload"]].heading, row["dtype"], options])
    return f"{name:48}{row['n_rows']:>10,}{sizes}{row['bytes_per_row']:>12.1f}"


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    print(f"{'':48}{'rows':>10}{'X, MB':>12}{'peak, MB':>12}{'limit, MB':>12}{'bytes a row':>12}")
    results = []
    for case in CASES:
        results.append(run(case))
        print(format_row(results[-1]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
