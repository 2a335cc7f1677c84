"""Compare training with ``dtype="bfloat16"`` and with ``dtype="float32"``: time of an epoch, and test accuracy.

    python benchmarks/bfloat16.py                                     time of the two networks, one thread
    python benchmarks/bfloat16.py --threads 2                         with two threads, by the clock on the wall
    python benchmarks/bfloat16.py --data FOLDER --json FILE           accuracy on mnist and letter, too
    python benchmarks/bfloat16.py --quick                             one small network, and the digits

The time is that of an epoch within `fit`, from the end of the one before. Fits of both types take turns, and the least
time counts; with one thread it is processor time, which other processes disturb little.

The accuracy is that of the test rows after the last epoch, the mean over the seeds; `real_data` names the data. Both
types begin with the same weights and see the same batches.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

from fastbp import MLPClassifier
from machine import machine_facts, remove_handicaps
from real_data import load

DTYPES = ("float32", "bfloat16")
#: layer sizes, rows of a batch, rows of X
NETWORKS = [((784, 512, 256, 10), 256, 10_000), ((1024, 2048, 2048, 1000), 512, 4_096)]
QUICK_NETWORKS = [((64, 64, 10), 64, 640)]
#: data -> epochs
EPOCHS = {"mnist": 10, "letter": 30, "digits": 5}
#: Of all fits for the accuracy
SETTINGS = dict(
    hidden_layer_sizes=(512, 256),
    solver="nadam",
    batch_size=128,
    learning_rate="one_cycle",
    learning_rate_init=0.005,
    n_iter_no_change=np.inf,
)


class EpochTimes:
    """A callback that notes how long each epoch took.

    Parameters
    ----------
    clock : callable
        ``clock() -> float``, in seconds.
    """

    def __init__(self, clock):
        self.clock, self.ends = clock, []

    def on_epoch_end(self, state):
        """Note the end of an epoch."""
        self.ends.append(self.clock())

    @property
    def seconds(self):
        """list of float: of each epoch but the first, which contains the start of `fit`."""
        return list(np.diff(self.ends))


def time_epochs(layer_sizes, batch_size, n_samples, n_threads, rounds):
    """The time of an epoch of each type.

    Parameters
    ----------
    layer_sizes : tuple of int
    batch_size, n_samples, n_threads : int
    rounds : int
        Fits of each type.

    Returns
    -------
    dict
        Type -> seconds.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, layer_sizes[0])).astype(np.float32)
    y = rng.permutation(np.arange(n_samples) % layer_sizes[-1])
    clock = time.process_time if n_threads == 1 else time.perf_counter
    found = {dtype: [] for dtype in DTYPES}
    params = dict(hidden_layer_sizes=layer_sizes[1:-1], batch_size=batch_size, max_iter=4, random_state=0)
    for _ in range(rounds):
        for dtype in DTYPES:
            times = EpochTimes(clock)
            MLPClassifier(dtype=dtype, n_threads=n_threads, callbacks=times, **params).fit(X, y)
            found[dtype] += times.seconds
    return {dtype: min(seconds) for dtype, seconds in found.items()}


def accuracies(name, folder, seeds):
    """Test accuracies of each type.

    Parameters
    ----------
    name : str
        Of the data.
    folder : str or None
    seeds : int

    Returns
    -------
    dict
        Type -> list of float, one for each seed.
    """
    split = load(name, folder)
    found = {dtype: [] for dtype in DTYPES}
    for seed in range(seeds):
        for dtype in DTYPES:
            model = MLPClassifier(dtype=dtype, max_iter=EPOCHS[name], random_state=seed, **SETTINGS)
            found[dtype].append(model.fit(split.X_train, split.y_train).score(split.X_test, split.y_test))
    return found


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="where the files of mnist and letter are")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="fits of each type whose epochs are timed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a small network, and the digits: a first look")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # so few epochs do not converge
    names = ("digits",) if options.quick else ("mnist", "letter") if options.data else ()
    results = {"machine": machine_facts({}), "epochs": [], "accuracies": {}}
    for layer_sizes, batch_size, n_samples in QUICK_NETWORKS if options.quick else NETWORKS:
        seconds = time_epochs(layer_sizes, batch_size, n_samples, options.threads, options.rounds)
        name, ratio = "-".join(map(str, layer_sizes)), seconds["float32"] / seconds["bfloat16"]
        times = ", ".join(f"{dtype} {1e3 * t:.1f} ms" for dtype, t in seconds.items())
        print(f"{name}, batches of {batch_size}: {times}: {ratio:.2f} times as fast", flush=True)
        results["epochs"].append({"network": name, "batch_size": batch_size, "seconds": seconds, "ratio": ratio})
    for name in names:
        found = results["accuracies"][name] = accuracies(name, options.data, options.seeds)
        means = {dtype: 100 * statistics.mean(values) for dtype, values in found.items()}
        difference = means["bfloat16"] - means["float32"]
        spread = 100 * statistics.stdev(found["float32"]) if options.seeds > 1 else 0.0
        print(
            f"{name}: test accuracy {means['float32']:.2f} % with float32, {means['bfloat16']:.2f} % with bfloat16, "
            f"{difference:+.2f} points; {options.seeds} seeds, standard deviation {spread:.2f}",
            flush=True,
        )
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    remove_handicaps()
    main()
