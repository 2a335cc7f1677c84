"""How much of a fast training do the kernels give, and how much the settings?
===========================================================================

To run it::

    python examples/14_train_fast.py

The default settings of scikit-learn's network have a small constant learning rate, which needs many epochs. The
one-cycle schedule raises the rate to many times as much, which moves the weights far in a few epochs, and then lowers
it to zero, which removes the noise of the batches (Smith and Topin, 2019, Super-convergence). The schedule is made for
`max_iter` epochs: choose `max_iter` by the time that you have, and train to the end. ::

    dtype="float32"              half the bytes, and twice as many numbers in each instruction
    solver="nadam"               Adam with Nesterov's momentum
    batch_size=64                many steps in an epoch
    learning_rate="one_cycle"    up, then down to zero
    learning_rate_init=0.01      the largest rate; `fastbp.find_learning_rate` suggests one for other data
    n_iter_no_change=inf         no stop before the schedule has ended

The script trains on handwritten digits for several numbers of epochs: scikit-learn with its default settings, fastbp
with the same, and fastbp with the settings above. It compares the test accuracy with the time of the fit, and tells how
long each needs for the accuracy that scikit-learn has at its end.
"""

import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier

# %%
# The settings
# ------------

FAST = dict(
    dtype="float32",
    solver="nadam",
    batch_size=64,
    learning_rate="one_cycle",
    learning_rate_init=0.01,
    n_iter_no_change=np.inf,
)
SEEDS = range(3)
WAYS = {
    "scikit-learn, default settings": (SklearnClassifier, {}, (10, 20, 40, 80, 200)),
    "fastbp, the same settings": (MLPClassifier, {}, (10, 20, 40, 80, 200)),
    "fastbp, settings for fast training": (MLPClassifier, FAST, (2, 4, 8, 16, 32)),
}

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)


def fit(estimator, settings, max_iter):
    """Median time in seconds and mean test accuracy over the seeds."""
    seconds, accuracies = [], []
    for seed in SEEDS:
        model = estimator(max_iter=max_iter, random_state=seed, **settings)
        begin = time.perf_counter()
        model.fit(X_train, y_train)
        seconds.append(time.perf_counter() - begin)
        accuracies.append(model.score(X_test, y_test))
    return np.median(seconds), np.mean(accuracies)


# %%
# The comparison
# --------------

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # a fit of a given number of epochs says that it has not ended
    MLPClassifier(max_iter=1).fit(X_train, y_train)  # so that no first call is timed
    results = {
        name: [fit(estimator, settings, epochs) for epochs in numbers]
        for name, (estimator, settings, numbers) in WAYS.items()
    }

goal = results["scikit-learn, default settings"][-1][1]
print(f"test accuracy {goal:.4f}, that of scikit-learn at its end, or within 0.5 % of it, after")
needed = {}
for name, (_, _, numbers) in WAYS.items():
    reached = [
        point for point in zip(numbers, *zip(*results[name], strict=True), strict=True) if point[2] > goal - 0.005
    ]
    epochs, needed[name], accuracy = reached[0]
    print(f"  {name:36}{epochs:4} epochs {1000 * needed[name]:9.1f} ms   accuracy {accuracy:.4f}")
sklearn, same, fast = needed.values()
print(
    f"kernels: {sklearn / same:.1f} times as fast; settings: {same / fast:.1f} times; both: {sklearn / fast:.1f} times"
)

# the same settings give the same models, and the schedule needs few epochs
for (_, theirs), (_, ours) in zip(*list(results.values())[:2], strict=True):
    assert abs(theirs - ours) < 0.002
assert results["fastbp, settings for fast training"][-1][1] > goal - 0.005

# %%
# Picture
# -------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for (name, (_, _, numbers)), color in zip(WAYS.items(), ("#E69F00", "#56B4E9", "#0072B2"), strict=True):
        seconds, accuracies = np.transpose(results[name])
        axes.plot(seconds, accuracies, "o-", color=color, label=name)
        for point in zip(seconds, accuracies, numbers, strict=True):
            axes.annotate(f"{point[2]}", point[:2], textcoords="offset points", xytext=(4, -12), fontsize="small")
    axes.axhline(goal, color="0.5", linewidth=0.8)
    axes.set(xscale="log", xlabel="time of the fit (s, log scale)", ylabel="test accuracy")
    axes.set_title("Accuracy against time; the numbers are epochs at most")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig("14_train_fast.png", dpi=120)
    print("Picture: 14_train_fast.png")
