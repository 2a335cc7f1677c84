"""Searches whose fits run at the same time: in threads, or in the workers of a Dask cluster
=========================================================================================

To run it::

    python examples/16_searches.py

scikit-learn's searches fit many models through joblib, which has several backends. The model of each fit is the same
whatever the backend, to the last bit. Each fit uses its share of the processors, so that all fits together do not run
more threads than there are processors:

* "threading": the fits run in threads of this process. The data is not copied; a fit takes the processors divided by
  the number of these threads.
* "dask": the workers of a cluster, here two processes of this machine. Dask starts its workers with OMP_NUM_THREADS=1.
  In workers that are threads of this process (``processes=False``), a fit takes the processors divided by the number of
  tasks that run at the same time.

"loky", joblib's default, starts processes on this machine and tells each of them its share by OMP_NUM_THREADS. With
`n_threads`, a fit takes the number of threads given, in every backend. Starting a local cluster sets
OMP_NUM_THREADS=1 in this process too, and so limits later fits of this process to one thread: delete
``os.environ["OMP_NUM_THREADS"]`` then.

Small fits as here are over before processes have started: a cluster pays where fits take seconds. For many small
networks on the same data, `fastbp.fit_many` is faster than any of these. The part with Dask needs ``distributed``.
"""

import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

import fastbp
from fastbp import MLPClassifier

GRID = {"alpha": [1e-4, 0.1, 1.0], "learning_rate_init": [0.01, 0.03]}
model = MLPClassifier((64, 32), max_iter=500, tol=0.05, n_iter_no_change=3, random_state=0)
grid_search = GridSearchCV(model, GRID, cv=3)
halving_search = HalvingGridSearchCV(model, GRID, cv=3, min_resources=199, random_state=0)


def search(backend, X, y, **options):
    """Fit both searches with a backend; print the seconds, and the threads that a fit may use."""
    with parallel_config(backend, **options):
        limits = Parallel()(delayed(fastbp.show_config)(mode="dicts") for _ in range(2))[0]["threads"]
        start = time.perf_counter()
        fitted = [clone(grid_search).fit(X, y), clone(halving_search).fit(X, y)]
        seconds = time.perf_counter() - start
    print(f"{backend:12}{seconds:8.2f} s, threads of a fit: {limits['available']}, by {limits['limited_by']}")
    return fitted


def check_same(searches, others):
    """All scores and the weights of the best models are the same to the last bit."""
    for one, other in zip(searches, others, strict=True):
        assert np.array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])
        assert one.best_params_ == other.best_params_
        assert np.array_equal(one.best_estimator_.network_.params, other.best_estimator_.network_.params)


def search_with_dask(X, y, others):
    """The same in two processes of a Dask cluster."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("dask        left out: distributed is not installed (pip install distributed)")
        return
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster):
        check_same(search("dask", X, y), others)


def draw(halving, path):
    """The scores of the candidates against the number of rows, which triples in each round of halving."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    results = halving.cv_results_
    for params in halving.cv_results_["params"][: halving.n_candidates_[0]]:
        rounds = [i for i, other in enumerate(results["params"]) if other == params]
        is_best = params == halving.best_params_
        axes.plot(
            results["n_resources"][rounds],
            results["mean_test_score"][rounds],
            marker="o",
            color="C3" if is_best else "0.6",
            zorder=3 if is_best else 2,
            label="\n".join(f"{name}={value}" for name, value in params.items()) if is_best else None,
        )
    axes.set(xscale="log", xlabel="rows of a fit and its test", ylabel="mean accuracy of three folds")
    axes.set_xticks(halving.n_resources_, map(str, halving.n_resources_))
    axes.minorticks_off()
    axes.legend(title="best candidate", loc="center right")
    axes.set_title("Successive halving: the best third goes on with three times the rows", fontsize="medium")
    figure.savefig(path, dpi=120)


def main():
    """Compare the backends."""
    X, y = load_digits(return_X_y=True)
    X /= 16
    print(f"{len(X):,} digits, two searches over 6 candidates, 3 folds\n")
    alone = search("sequential", X, y)
    check_same(search("threading", X, y, n_jobs=2), alone)
    search_with_dask(X, y, alone)

    for name, fitted in zip(("grid search", "halving"), alone, strict=True):
        print(f"\n{name}: accuracy {fitted.best_score_:.4f} with {fitted.best_params_}")
    assert min(fitted.best_score_ for fitted in alone) > 0.9
    try:
        draw(alone[1], Path("16_searches.png"))
    except ImportError:
        print("\nNo picture: matplotlib is not installed")
    else:
        print("\nScores of the candidates: 16_searches.png")


# processes that are spawned, as those of Dask, import this file again
if __name__ == "__main__":
    main()
