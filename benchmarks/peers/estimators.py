"""Estimators with scikit-learn's interface: scikit-learn itself and fastbp."""

import importlib

import numpy as np

from workloads import make_data


def train(package, workload, dtype):
    """Make ready a fit of a given number of epochs by an MLPClassifier or MLPRegressor.

    Everything but the sizes and the stopping rule is the default: Adam at 1e-3, relu, L2
    penalty 1e-4, shuffling.

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
    module = importlib.import_module("sklearn.neural_network" if package == "sklearn" else package)
    X, y = make_data(workload, dtype)
    name = "MLPRegressor" if workload.task == "regression" else "MLPClassifier"
    Estimator = getattr(module, name)

    def run(epochs):
        Estimator(
            hidden_layer_sizes=workload.layer_sizes[1:-1],
            batch_size=workload.batch_size,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=np.inf,
            random_state=0,
        ).fit(X, y)

    return run
