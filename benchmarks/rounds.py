"""The time of a round of `fastbp.dask`, and of its parts."""

import time
import warnings
from dataclasses import dataclass
from itertools import pairwise

import dask.array as da
import numpy as np
from distributed import wait
from sklearn.exceptions import ConvergenceWarning

from fastbp import MLPClassifier
from fastbp.dask import DaskMLPClassifier

N_CLASSES = 10


@dataclass(frozen=True)
class Net:
    """A classifier of 10 classes, trained with Adam in float32.

    Parameters
    ----------
    name : str
    n_features : int
    hidden_layer_sizes : tuple of int
    batch_size : int, default=200
        Rows of a step of one worker.
    """

    name: str
    n_features: int
    hidden_layer_sizes: tuple
    batch_size: int = 200

    @property
    def n_params(self):
        """int: weights and biases."""
        sizes = [self.n_features, *self.hidden_layer_sizes, N_CLASSES]
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    @property
    def settings(self):
        """dict: parameters of the estimators."""
        sizes = {"hidden_layer_sizes": self.hidden_layer_sizes, "batch_size": self.batch_size}
        return {**sizes, "tol": 0, "n_iter_no_change": 1000, "random_state": 0}


TINY = Net("tiny", 10, (10,))
#: About a hundred thousand, a million, and ten million parameters
SMALL = Net("small", 100, (256, 256))
MEDIUM = Net("medium", 500, (800, 700))
LARGE = Net("large", 1_000, (2_200, 2_200, 1_200))


def make_block(n_rows, n_features, seed):
    """Rows that are not all alike, in float32, with their classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    return X, X[:, :N_CLASSES].argmax(axis=1)


def place_rows(client, net, n_rows):
    """Make `n_rows` rows on every worker.

    Returns
    -------
    X, y : dask.array.Array
        With one block for each worker, where it lies.
    blocks : list of Future
        The same, pairs of arrays.
    """
    workers = sorted(client.nthreads())
    blocks = [
        client.submit(make_block, n_rows, net.n_features, seed, workers=[worker], pure=False)
        for seed, worker in enumerate(workers)
    ]
    wait(blocks)
    parts = [[client.submit(lambda pair, i=i: pair[i], block, pure=False) for block in blocks] for i in (0, 1)]
    X = [da.from_delayed(part, (n_rows, net.n_features), np.float32) for part in parts[0]]
    y = [da.from_delayed(part, (n_rows,), np.int64) for part in parts[1]]
    X, y = client.persist([da.concatenate(X), da.concatenate(y)])
    wait([X, y])
    return X, y, blocks


def difference_of_fits(fit, epochs, clock=time.perf_counter, repeats=3):
    """Seconds of `epochs` epochs: of a fit of 1 + `epochs` epochs without that of 1, each the fastest of several."""
    seconds = {1: [], 1 + epochs: []}
    for _ in range(repeats):
        for n_epochs, found in seconds.items():
            start = clock()
            fit(n_epochs)
            found.append(clock() - start)
    return min(seconds[1 + epochs]) - min(seconds[1])


def fit_alone(block, net, epochs):
    """Seconds of an epoch without Dask, in one thread."""
    model = MLPClassifier(**net.settings, n_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return difference_of_fits(lambda n: model.set_params(max_iter=n).fit(*block), epochs) / epochs


def measure_step(client, net, n_steps=200, epochs=2):
    """Seconds of a step on each worker, while all of them train.

    Parameters
    ----------
    client : distributed.Client
    net : Net
    n_steps : int, default=200
        Steps of an epoch.
    epochs : int, default=2

    Returns
    -------
    float
        Of the slowest worker.
    """
    _, _, blocks = place_rows(client, net, n_steps * net.batch_size)
    fits = [
        client.submit(fit_alone, block, net, epochs, workers=[worker], pure=False)
        for block, worker in zip(blocks, sorted(client.nthreads()), strict=True)
    ]
    return max(client.gather(fits)) / n_steps


def processor_seconds(client):
    """Seconds of processors that all workers have used."""
    return sum(client.run(time.process_time).values())


def measure_round(client, net, sync_every, rounds=20, epochs=2, clock=time.perf_counter):
    """Seconds of a round of `sync_every` steps on every worker, with the average.

    Parameters
    ----------
    client : distributed.Client
    net : Net
    sync_every : int
    rounds : int, default=20
        Of an epoch.
    epochs : int, default=2
    clock : callable, default=time.perf_counter
        What to read: by default the time that passes.

    Returns
    -------
    float
    """
    X, y, _ = place_rows(client, net, rounds * sync_every * net.batch_size)
    # batch_size is that of all workers together
    settings = {**net.settings, "batch_size": net.batch_size * len(client.nthreads())}
    model = DaskMLPClassifier(**settings, sync_every=sync_every)
    model.client = client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return difference_of_fits(lambda n: model.set_params(max_iter=n).fit(X, y), epochs, clock) / (rounds * epochs)
