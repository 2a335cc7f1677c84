"""Compare the accuracy of training on a cluster with that of one machine, after the same rows.

    python benchmarks/distributed_accuracy.py --data FOLDER
    python benchmarks/distributed_accuracy.py --only digits --workers 1 2 --seeds 1 --epochs 3
    python benchmarks/distributed_accuracy.py --data FOLDER --set solver=sgd learning_rate_init=0.1
    python benchmarks/distributed_accuracy.py --data FOLDER --on-cluster outer_momentum=0.9

`MLPClassifier` and `fastbp.dask.DaskMLPClassifier` have the same parameters, and train for the same number of epochs: a
network of 100 units in float32, with the default settings beside these and what ``--set`` gives. The workers are
processes of this machine with one thread each, and there are four partitions for each. Printed are the test accuracies
in percent, means over the seeds, and the differences from one machine in points. The target is at most 0.2 points less.
Needs ``distributed``; for FOLDER see ``real_data.py``.
"""

import argparse
import ast
import json
import logging
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

from fastbp import MLPClassifier
from machine import cpu_model, usable_cores
from real_data import NAMES, load

#: Partitions for each worker; Dask decides which lie where
PARTITIONS = 4
#: The largest difference from one machine, in points
TARGET = 0.2


def accuracies(split, seeds, fit):
    """The test accuracies in percent of the models that ``fit(seed)`` returns, and the seconds of a fit.

    Parameters
    ----------
    split : Split
    seeds : int
    fit : callable

    Returns
    -------
    list of float, float
    """
    begin = time.perf_counter()
    models = [fit(seed) for seed in range(seeds)]
    seconds = (time.perf_counter() - begin) / seeds
    X_test = split.X_test.astype(np.float32)
    return [100 * model.score(X_test, split.y_test) for model in models], seconds


def on_cluster(split, n_workers, seeds, params):
    """`accuracies` of training on a cluster of so many workers."""
    import dask.array as da
    from distributed import Client, LocalCluster

    from fastbp.dask import DaskMLPClassifier

    cluster = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.ERROR
    )
    with cluster, Client(cluster) as client:
        rows = -(-len(split.y_train) // (PARTITIONS * n_workers))
        X = da.from_array(split.X_train.astype(np.float32), chunks=(rows, -1)).persist()
        y = da.from_array(split.y_train, chunks=rows).persist()

        def fit(seed):
            model = DaskMLPClassifier(**params, random_state=seed)
            model.client = client
            return model.fit(X, y).to_local()

        return accuracies(split, seeds, fit)


def measure(name, folder, workers, seeds, params, of_cluster):
    """The accuracies on a data set: a dict of number of workers, 0 for one machine, to figures."""
    split = load(name, folder)
    X = split.X_train.astype(np.float32)
    runs = {0: accuracies(split, seeds, lambda seed: MLPClassifier(**params, random_state=seed).fit(X, split.y_train))}
    for n_workers in workers:
        runs[n_workers] = on_cluster(split, n_workers, seeds, params | of_cluster)
    return {str(n): {"accuracies": found, "seconds": seconds} for n, (found, seconds) in runs.items()}


def report(name, found):
    """The lines of a data set."""
    alone = statistics.mean(found["0"]["accuracies"])
    for n_workers, figures in found.items():
        mean = statistics.mean(figures["accuracies"])
        spread = statistics.pstdev(figures["accuracies"])
        what = "one machine" if n_workers == "0" else f"{n_workers} worker(s)"
        mark = "   below the target" if mean < alone - TARGET else ""
        yield (
            f"{name:14} {what:12} {mean:7.2f} ± {spread:4.2f} {mean - alone:+6.2f} points"
            f" {figures['seconds']:7.1f} s a fit{mark}"
        )


def parameter(text):
    """A pair of the name of a parameter and its value, from ``name=value``."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="where the files of mnist, letter and covtype-ramp are")
    parser.add_argument("--only", action="append", choices=NAMES, help="a data set; may be repeated")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    settings = dict(nargs="+", type=parameter, default=[], metavar="NAME=VALUE")
    parser.add_argument("--set", **settings, help="parameters of both estimators")
    parser.add_argument("--on-cluster", **settings, help="parameters of DaskMLPClassifier alone")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # so few epochs do not converge
    params = {"hidden_layer_sizes": (100,), "max_iter": options.epochs} | dict(options.set)
    of_cluster = dict(options.on_cluster)
    print(f"{cpu_model()}, {usable_cores()} cores; {options.seeds} seeds; {params}, on the cluster also {of_cluster}")
    found = {}
    for name in options.only or ("mnist", "covtype-ramp"):
        found[name] = measure(name, options.data, options.workers, options.seeds, params, of_cluster)
        print(*report(name, found[name]), sep="\n", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
