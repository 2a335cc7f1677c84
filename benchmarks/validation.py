"""Measure what the validation of the data adds to the first epoch.

    python benchmarks/validation.py
    python benchmarks/validation.py --quick --json validation.json

The default network is fitted to 10^5 rows of 100 float64 numbers, with one thread, in processor time: another process
does not disturb it. Measured in turns, and printed as medians:

- an epoch: the difference between `fit` with 4 epochs and with 1 epoch, divided by 3;
- the validation of X and y: the estimator's own checks, called as `fit` calls them. That no number is NaN or infinite,
  their type and shape, the classes of y, their encoding;
- the conversion of X, with ``dtype="float32"``: a copy, which every training in float32 needs, and no check. It is not
  counted in the validation;
- all that `fit` does besides the epoch: its time with 1 epoch less an epoch. It contains the validation, the
  conversion, the first weights, buffers. A difference of large numbers, so that it varies by some percent of an epoch.

The validation should take at most 5 % of an epoch. More is marked.
"""

import argparse
import json
import statistics
import time
import warnings

import numpy as np

from fastbp import MLPClassifier, MLPRegressor

ROWS, FEATURES = 10**5, 100
#: The largest share of an epoch
LIMIT = 0.05
#: Epochs beyond the first one in the longer fit
MORE = 3


def milliseconds(function):
    """The processor time of a call.

    Parameters
    ----------
    function : callable

    Returns
    -------
    float
    """
    begin = time.process_time()
    function()
    return 1e3 * (time.process_time() - begin)


def validate(Estimator, X, y, dtype):
    """The checks of `fit`, for a new estimator.

    Parameters
    ----------
    Estimator : type
    X, y : ndarray
    dtype : {"float32"} or None
        The estimator's parameter.
    """
    model = Estimator(dtype=dtype)
    X, y = model._check(X, y, reset=True)
    model._learn_targets(y, incremental=False, continues=False)
    model._encode(y, X.dtype)


def measure(Estimator, dtype, n_rows, repeats):
    """Time fits and checks in turns.

    Parameters
    ----------
    Estimator : type
    dtype : {"float32"} or None
        The estimator's parameter.
    n_rows, repeats : int

    Returns
    -------
    dict
        Medians in milliseconds, `share` of the validation and `beside` of all but the epoch, in epochs.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, FEATURES))
    score = X[:, 0] * X[:, 1]
    y = score if Estimator is MLPRegressor else (score > 0).astype(int) + (X[:, 2] > 1)
    params = dict(dtype=dtype, n_threads=1, random_state=0)
    calls = {
        "one": lambda: Estimator(**params, max_iter=1).fit(X, y),
        "more": lambda: Estimator(**params, max_iter=1 + MORE).fit(X, y),
        "checks": lambda: validate(Estimator, X, y, dtype),
        "conversion": lambda: X.astype(dtype) if dtype else None,
    }
    times = {name: [] for name in calls}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few epochs do not converge
        for repeat in range(repeats + 1):  # the first is not counted
            for name, call in calls.items():
                found = milliseconds(call)
                if repeat:
                    times[name].append(found)
    one, more, checks, conversion = (statistics.median(times[name]) for name in calls)
    conversion = conversion if dtype else 0.0
    epoch = (more - one) / MORE
    return {
        "estimator": Estimator.__name__,
        "dtype": dtype or "float64",
        "n_rows": n_rows,
        "epoch_ms": epoch,
        "validation_ms": checks - conversion,
        "conversion_ms": conversion,
        "share": (checks - conversion) / epoch,
        "beside": (one - epoch) / epoch,
    }


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows, few repeats: a first look")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    n_rows, repeats = (1000, 1) if options.quick else (ROWS, 9)
    print(f"X of {n_rows:,} x {FEATURES} float64, one thread, processor time")
    print(f"{'':14} {'dtype':8} {'epoch':>10} {'validation':>21} {'conversion':>12} {'all beside the epoch':>21}")
    found = []
    for Estimator in (MLPClassifier, MLPRegressor):
        for dtype in (None, "float32"):
            row = measure(Estimator, dtype, n_rows, repeats)
            found.append(row)
            mark = f"   more than {LIMIT:.0%}" if row["share"] > LIMIT else ""
            print(
                f"{row['estimator']:14} {row['dtype']:8} {row['epoch_ms']:7.1f} ms {row['validation_ms']:7.2f} ms "
                f"({row['share']:6.1%}) {row['conversion_ms']:9.2f} ms {row['beside']:20.1%}{mark}",
                flush=True,
            )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
