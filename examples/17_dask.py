"""Training on a Dask cluster, on data that stay on its workers
============================================================

To run it::

    python examples/17_dask.py

The cluster is two processes of this machine; it could as well be a thousand machines. Each worker trains a copy of the
network on its own rows, and after some steps the weights are averaged. Only weights travel. With
momentum on the averages, two workers learn as much from the same rows as one machine: see ``help(fastbp.dask)``.

With one worker the model is that of `MLPClassifier`, to the last bit. If a worker is killed, Dask reads its rows again
on another one, and the model is that of an undisturbed run. The example needs ``distributed`` (pip install
'fastbp[dask]').
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from fastbp import MLPClassifier
from fastbp.dask import DaskMLPClassifier

SETTINGS = {"hidden_layer_sizes": (64,), "learning_rate": "cosine", "max_iter": 15, "random_state": 0}


def data():
    """Rows of ten classes: (X_train, X_test, y_train, y_test)."""
    X, y = make_classification(
        20_000, n_features=30, n_informative=12, n_classes=10, n_clusters_per_class=3, class_sep=1.5, random_state=0
    )
    return train_test_split(X.astype(np.float32), y, test_size=5_000, random_state=0)


def train_on_cluster(X_train, X_test, y_train, y_test):
    """Models of one worker and of two, as (label, model); none without distributed."""
    try:
        import dask.array as da
        from distributed import Client, LocalCluster
    except ImportError:
        print("the cluster is left out: distributed is not installed (pip install 'fastbp[dask]')")
        return []
    models = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster):
        X_test, y_test = da.from_array(X_test, chunks=(1_000, -1)), da.from_array(y_test, chunks=1_000)
        for n_chunks, momentum in ((1, "auto"), (2, "auto"), (2, 0.0)):
            chunk = len(X_train) // n_chunks
            X, y = da.from_array(X_train, chunks=(chunk, -1)), da.from_array(y_train, chunks=chunk)
            model = DaskMLPClassifier(**SETTINGS, outer_momentum=momentum).fit(X, y)
            name = f"{n_chunks} worker{'s' * (n_chunks > 1)}, outer_momentum={momentum!r}"
            print(f"{name:36} loss {model.loss_:.4f}, test accuracy {model.score(X_test, y_test):.4f}")
            models.append((name, model))
        predictions = models[1][1].predict(X_test)  # not computed yet
        print(f"\npredictions: {predictions}\nthe first ones: {predictions[:10].compute()}")
    return models


def draw(curves, path):
    """The loss against epochs.

    Parameters
    ----------
    curves : list of (str, list of float)
    path : Path
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, losses) in enumerate(curves):
        axes.plot(np.arange(1, len(losses) + 1), losses, label=name, ls="--" if number == 0 else "-", lw=3 - number / 2)
    axes.set(xlabel="epoch", ylabel="loss", yscale="log", title="Two workers learn as much from the same rows")
    axes.legend()
    figure.savefig(path, dpi=120)


def main():
    """Train on one machine and on the cluster."""
    X_train, X_test, y_train, y_test = data()
    local = MLPClassifier(**SETTINGS).fit(X_train, y_train)
    print(f"{'MLPClassifier':36} loss {local.loss_:.4f}, test accuracy {local.score(X_test, y_test):.4f}")
    models = train_on_cluster(X_train, X_test, y_train, y_test)
    if models:
        assert np.array_equal(models[0][1].network_.params, local.network_.params)
    try:
        curves = [("MLPClassifier", local.loss_curve_), *((name, model.loss_curve_) for name, model in models)]
        draw(curves, Path("17_dask.png"))
    except ImportError:
        print("\nNo picture: matplotlib is not installed")
    else:
        print("\nLosses: 17_dask.png")


# processes that are spawned, as those of Dask, import this file again
if __name__ == "__main__":
    main()
