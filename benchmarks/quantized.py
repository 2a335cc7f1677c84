"""Predictions with weights of 8 bits against float32: time, and accuracy on real data.

    python benchmarks/quantized.py                                 # time only
    python benchmarks/quantized.py --data digits letter mnist --folder FOLDER

Time: the network 784-512-256-10 on images of which half the pixels are 0, for each number of rows and threads. The two
predictions alternate, and each is the fastest of some rounds. With one thread it is the time of the process, which
other processes disturb little; with more it is that of the clock. The last two columns are the products of weights and
activations in a second, as a share of the peak of multiply-adds in float32.

Accuracy: networks with the hidden layers 512 and 256 on data sets of `real_data.py`, for some seeds. The columns are
the accuracy in float32 in percent, the differences that weights of 8 bits make in points, and how many test rows change
their class, in percent; the last two for each seed.
"""

import argparse
import time
import warnings
from itertools import pairwise

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastbp import MLPClassifier, Network, quantize, show_config
from fastbp.kernels import fma_peak
from real_data import NAMES, load
from tabular_report import format_table

LAYER_SIZES = (784, 512, 256, 10)
ROWS, THREADS = (1_000, 10_000, 100_000), (1, 2)
ROUNDS = 7
#: Rows that are predicted in one round, at least: shorter ones are repeated
ROWS_PER_ROUND = 10_000
#: Passes over the training rows
EPOCHS = {"digits": 60, "letter": 40, "mnist": 6}


def seconds_of(functions, n_threads, repeats):
    """The least seconds of each function in rounds in which they alternate.

    Parameters
    ----------
    functions : list of callable
    n_threads : int
        With one thread, seconds of the process are counted, else those of the clock.
    repeats : int
        Calls of each function in a round.

    Returns
    -------
    list of float
        Of one call.
    """
    clock = time.process_time if n_threads == 1 else time.perf_counter
    best = [np.inf] * len(functions)
    for _ in range(ROUNDS):
        for number, function in enumerate(functions):
            start = clock()
            for _ in range(repeats):
                function()
            best[number] = min(best[number], (clock() - start) / repeats)
    return best


def measure_time():
    """Print a table of predicted rows and threads."""
    rng, rows = np.random.default_rng(0), []
    X = rng.random((max(ROWS), LAYER_SIZES[0]), dtype=np.float32)
    X *= rng.random(X.shape, dtype=np.float32) < 0.5
    products = sum(a * b for a, b in pairwise(LAYER_SIZES))
    for n_threads in THREADS:
        network = Network(
            LAYER_SIZES, "relu", "softmax", "log_loss", dtype="float32", random_state=0, n_threads=n_threads
        )
        quantized, peak = quantize(network), fma_peak(n_threads=n_threads) / 2
        for n_rows in ROWS:
            part = X[:n_rows]
            repeats = max(1, ROWS_PER_ROUND // n_rows)
            ours = [lambda model=model, part=part: model.forward(part) for model in (network, quantized)]
            in_float, in_bytes = seconds_of(ours, n_threads, repeats)
            rates = [products * n_rows / seconds / peak for seconds in (in_float, in_bytes)]
            micros = [f"{1e6 * seconds / n_rows:.2f}" for seconds in (in_float, in_bytes)]
            shares = [f"{100 * rate:.0f} %" for rate in rates]
            rows.append([f"{n_rows:,}", str(n_threads), *micros, f"{in_float / in_bytes:.2f}", *shares])
    head = ["rows", "threads", "float32, µs a row", "8 bits, µs a row", "ratio", "share of the peak", "8 bits"]
    print(format_table(head, rows))


def measure_accuracy(names, folder, n_seeds):
    """Print a table of data sets.

    Parameters
    ----------
    names : list of str
    folder : str or None
    n_seeds : int
    """
    rows = []
    for name in names:
        data, scores, changes, moved = load(name, folder), [], [], []
        for seed in range(n_seeds):
            model = MLPClassifier(
                LAYER_SIZES[1:-1],
                dtype="float32",
                solver="nadam",
                batch_size=64,
                learning_rate="one_cycle",
                learning_rate_init=0.003,
                max_iter=EPOCHS.get(name, 20),
                n_iter_no_change=np.inf,
                random_state=seed,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(data.X_train, data.y_train)
            quantized = quantize(model)
            scores.append(100 * model.score(data.X_test, data.y_test))
            changes.append(100 * quantized.score(data.X_test, data.y_test) - scores[-1])
            moved.append(100 * np.mean(quantized.predict(data.X_test) != model.predict(data.X_test)))
        rows.append(
            [
                name,
                f"{len(data.y_test):,}",
                f"{np.mean(scores):.2f}",
                ", ".join(f"{change:+.2f}" for change in changes),
                ", ".join(f"{share:.2f}" for share in moved),
            ]
        )
    print(format_table(["data", "test rows", "float32", "difference", "rows of another class"], rows))


def main(arguments=None):
    """Measure and print the tables.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=[], choices=NAMES, help="data sets for the accuracy")
    parser.add_argument("--folder", help="where their files are: see real_data.py")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--no-time", action="store_true", help="the accuracy only")
    options = parser.parse_args(arguments)
    print(f"products of integers: {show_config('dicts')['integers']['instruction']}\n")
    if not options.no_time:
        measure_time()
    if options.data:
        measure_accuracy(options.data, options.folder, options.seeds)


if __name__ == "__main__":
    main()
