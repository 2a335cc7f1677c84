"""Estimators with scikit-learn's interface: scikit-learn itself and fastbp.

Parameters that a workload does not set have their defaults: Adam with a learning rate of 1e-3, relu, an L2 penalty of
1e-4, shuffling.
"""

import importlib
import tempfile

import numpy as np

from data import make_data
from options import parameters_of
from peers import time_calls
from probes import Sampler, resident_bytes, running_threads

# Number of rows on which a network is trained, for one epoch, before its predictions are timed.
FITTED_ROWS = 1_000
# Number of rows that are written to a file at once, again and again until it has its length.
WRITTEN_ROWS = 8_192


def estimator_class(package, workload):
    """The MLPClassifier or the MLPRegressor, depending on the task.

    Parameters
    ----------
    package : {"fastbp", "sklearn"}
        Where the estimators come from.
    workload : workloads.Workload

    Returns
    -------
    type
    """
    module = importlib.import_module("sklearn.neural_network" if package == "sklearn" else package)
    return getattr(module, "MLPRegressor" if workload.task == "regression" else "MLPClassifier")


def make_estimator(package, workload, **parameters):
    """Make an estimator with the workload's hidden layers and seed 0.

    Parameters
    ----------
    package, workload
        As for `estimator_class`.
    **parameters
        Parameters of the estimator that differ from their defaults.

    Returns
    -------
    estimator
    """
    parameters = {"hidden_layer_sizes": workload.layer_sizes[1:-1], "random_state": 0, **parameters}
    return estimator_class(package, workload)(**parameters)


def train(package, workload, dtype):
    """Prepare fits of a given number of epochs.

    Parameters
    ----------
    package : {"fastbp", "sklearn"}
        Where the estimators come from.
    workload : workloads.Workload
        Shapes and task.
    dtype : {"float32", "float64"}
        Type of X.

    Returns
    -------
    callable
        ``run(epochs)``.
    """
    X, y = make_data(workload, dtype)

    def run(epochs):
        parameters = {
            "activation": workload.activation,
            "batch_size": workload.batch_size,
            "shuffle": not workload.is_full_batch,
            "max_iter": epochs,
            "tol": 0.0,
            "n_iter_no_change": np.inf,
        }
        make_estimator(package, workload, **parameters | parameters_of(workload)).fit(X, y)

    return run


def fit(package, workload, dtype):
    """Prepare whole fits with the default settings; reports the number of epochs of a fit.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(fits)``.
    """
    X, y = make_data(workload, dtype)
    estimator = make_estimator(package, workload, max_iter=workload.max_iter)

    def run(fits):
        for _ in range(fits):
            estimator.fit(X, y)
        return {"epochs": estimator.n_iter_}

    return run


def lbfgs(package, workload, dtype):
    """Prepare fits by L-BFGS with a fixed number of iterations; reports the number of evaluations of the loss in a fit.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(fits)``.
    """
    X, y = make_data(workload, dtype)
    estimator = make_estimator(package, workload, solver="lbfgs", max_iter=workload.max_iter, tol=0.0)
    module = importlib.import_module("fastbp.training.lbfgs" if package == "fastbp" else "scipy.optimize")
    minimize, results = module.minimize, []

    def remember(*args, **kwargs):
        results[:] = [minimize(*args, **kwargs)]
        return results[0]

    # The counts are in the optimizer's result, which neither estimator keeps. Both call an optimizer of this name.
    module.minimize = remember

    def run(fits):
        for _ in range(fits):
            estimator.fit(X, y)
        (result,) = results
        return {"iterations": int(result.nit), "evaluations": int(result.nfev)}

    return run


def predictor(package, workload, X, y):
    """Fit an estimator for one epoch on the first rows, to time its predictions.

    Parameters
    ----------
    package, workload
        As for `train`.
    X, y : ndarray
        At least one row.

    Returns
    -------
    estimator
    """
    return make_estimator(package, workload, max_iter=1).fit(X[:FITTED_ROWS], y[:FITTED_ROWS])


def predict(package, workload, dtype):
    """Prepare predictions for all rows.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    X, y = make_data(workload, dtype)
    estimator = predictor(package, workload, X, y)

    def run(calls):
        for _ in range(calls):
            estimator.predict(X)

    return run


def predict_row(package, workload, dtype):
    """Prepare predictions for one row, each timed by itself.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    X, y = make_data(workload, dtype)
    estimator = predictor(package, workload, X, y)
    return time_calls(lambda: estimator.predict(X))


def grid_search(package, workload, dtype):
    """Prepare grid searches of twelve fits in two processes; reports the number of threads that they use.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(searches)``.
    """
    from joblib import Parallel, delayed
    from sklearn.model_selection import GridSearchCV

    X, y = make_data(workload, dtype)
    estimator = make_estimator(package, workload, max_iter=workload.max_iter)
    search = GridSearchCV(
        estimator,
        {"hidden_layer_sizes": [(50,), (100,)], "alpha": [1e-4, 1e-2]},
        cv=3,
        n_jobs=2,
        refit=False,
    )
    # The first search starts the processes; threads are counted in the second, which is not timed.
    search.fit(X, y)
    with Sampler(running_threads) as counts:
        search.fit(X, y)
    allowed = Parallel(n_jobs=2)(delayed(threads_allowed)(package) for _ in range(2))
    facts = {
        "threads_allowed_per_process": max(allowed),
        "running_threads_median": counts.median,
        "running_threads_max": counts.max,
    }

    def run(searches):
        for _ in range(searches):
            search.fit(X, y)
        return facts

    return run


def threads_allowed(package):
    """Number of threads that the package may use in this process.

    Parameters
    ----------
    package : {"fastbp", "sklearn"}

    Returns
    -------
    int
        For scikit-learn, which computes with NumPy, the number of threads of the BLAS.
    """
    if package == "fastbp":
        from fastbp.threads import available_threads

        return available_threads()
    from threadpoolctl import threadpool_info

    return max(pool["num_threads"] for pool in threadpool_info())


def fit_memmap(package, workload, dtype):
    """Prepare fits on rows in a memory-mapped file; reports by how many bytes the memory of the process grows.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(fits)``.

    Raises
    ------
    NotImplementedError
        On systems without Linux's /proc.
    """
    resident_bytes()
    n, n_features, n_classes = workload.n_samples, workload.layer_sizes[0], workload.layer_sizes[-1]
    rng = np.random.default_rng(0)
    chunk = rng.standard_normal((min(n, WRITTEN_ROWS), n_features), dtype)
    # The file has no name, so it is deleted when this process ends for any reason. The map below keeps it open.
    file = tempfile.TemporaryFile()  # noqa: SIM115
    for start in range(0, n, len(chunk)):
        chunk[: n - start].tofile(file)
    file.flush()
    X = np.memmap(file, dtype=dtype, mode="r", shape=(n, n_features))
    y = rng.permutation(np.arange(n) % n_classes)
    estimator = make_estimator(package, workload, batch_size=workload.batch_size, max_iter=workload.max_iter)
    # What the first fit of a process loads and allocates is not counted.
    estimator.fit(np.asarray(X[:FITTED_ROWS]), y[:FITTED_ROWS])

    def run(fits):
        before = resident_bytes()
        with Sampler(lambda: resident_bytes()["anonymous"]) as anonymous:
            for _ in range(fits):
                estimator.fit(X, y)
        return {
            "file_bytes": X.nbytes,
            "anonymous_growth_bytes": anonymous.max - before["anonymous"],
            "file_pages_growth_bytes": resident_bytes()["file"] - before["file"],
        }

    return run
