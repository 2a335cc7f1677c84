"""Deep or wide? The same number of parameters in few wide layers or in many narrow ones
=====================================================================================

To run it::

    python examples/03_deep_or_wide.py

A network with d hidden layers of w units, between 64 pixels and 10 classes, has ::

    P = (64 + 1) w  +  (d - 1) (w + 1) w  +  (w + 1) 10

parameters: (fan_in + 1) fan_out for each layer. Here P is about 20,000, and d goes from 1 to 64. A forward pass takes
two operations for each weight and row, so it takes the same number for all networks. The backward pass takes four: two
for dL/dW and two for the gradient by the layer's input, which the first layer does not need. The widest network has
most of its weights in the first layer, so its backward pass takes little more than half the operations of the deepest
one's.

The script shows test accuracy, the size of the gradient and the time, each against depth. On these digits one to four
layers are best. Deeper networks learn more slowly, and the deepest learns nothing in 100 epochs. The gradient shows
this before training: it becomes smaller from the last layer to the first. The time changes much less. The result holds
for plain relu networks with the package's initial weights, the default learning rate and 898 rows, and not for deep
networks in general; 04_vanishing_gradients.py explains the cause.
"""

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastbp import MLPClassifier

BUDGET = 20_000
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
CHECKPOINTS = (10, 30, 100)  # epochs after which the test accuracy is taken; training ends with the last
SEEDS = (0, 1, 2)  # each draws another split, other initial weights, another order of the rows


def width_for(depth, n_parameters, n_in=64, n_out=10):
    """The w that solves (d - 1) w² + (n_in + d + n_out) w + n_out = P, rounded."""
    a, b, c = depth - 1, n_in + depth + n_out, n_out - n_parameters
    # The positive root, written so that it holds for a = 0 (one hidden layer) too.
    return round(-2 * c / (b + np.sqrt(b * b - 4 * a * c)))


class Watch:
    """A callback: the gradient before the first step, the accuracy at the checkpoints, and the end of training."""

    def __init__(self, X_test, y_test):
        self.X_test, self.y_test = X_test, y_test
        self.accuracy = []

    def on_fit_begin(self, state):
        _, gradient = state.network.loss_and_gradient(state.X, state.targets)
        weight_gradients, _ = state.network.split(gradient)
        # Root mean square, not the norm: layers of different sizes can be compared.
        self.gradient_size = [np.sqrt(np.mean(dW**2)) for dW in weight_gradients]

    def on_epoch_end(self, state):
        if state.epoch in CHECKPOINTS:
            predicted = state.network.forward(self.X_test).argmax(axis=1)
            self.accuracy.append(np.mean(predicted == self.y_test))
        return state.epoch == CHECKPOINTS[-1]  # True ends training


# %%
# Train: every depth gets the same budget of parameters, epochs and rows
# ----------------------------------------------------------------------

X, y = load_digits(return_X_y=True)  # 1,797 scans of handwritten digits, 8 x 8 pixels; half of them for the test
X = ((X - X.mean()) / X.std()).astype(np.float32)

accuracy = np.empty((len(DEPTHS), len(SEEDS), len(CHECKPOINTS)))
gradient_size = np.empty((len(DEPTHS), len(SEEDS), 2))  # of the first and of the last layer
seconds = np.empty((len(DEPTHS), len(SEEDS)))
n_parameters, forward_flops, backward_flops = [], [], []

print("hidden layers   parameters   test accuracy   gradient, first / last layer   seconds")
for i, depth in enumerate(DEPTHS):
    width = width_for(depth, BUDGET)
    for j, seed in enumerate(SEEDS):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
        watch = Watch(X_test, y_test)
        model = MLPClassifier(
            (width,) * depth,
            batch_size=100,
            max_iter=CHECKPOINTS[-1] + 1,
            n_iter_no_change=np.inf,  # all run for the same number of epochs
            random_state=seed,
            callbacks=watch,
        )
        start = time.perf_counter()
        model.fit(X_train, y_train)
        seconds[i, j] = time.perf_counter() - start
        accuracy[i, j] = watch.accuracy
        gradient_size[i, j] = watch.gradient_size[0], watch.gradient_size[-1]
    n_parameters.append(model.network_.n_params)
    forward_flops.append(model.network_.flops(1, backward=False))
    backward_flops.append(model.network_.flops(1) - forward_flops[-1])
    first, last = gradient_size[i].mean(axis=0)
    print(
        f"{depth:4} x {width:3} units   {n_parameters[-1]:10,}   {accuracy[i, :, -1].mean():13.3f}"
        f"   {first:14.1e} / {last:.1e}   {seconds[i].min():9.2f}"
    )

# %%
# Claims
# ------

final = accuracy[:, :, -1].mean(axis=1)
ratio = gradient_size[..., 0].mean(axis=1) / gradient_size[..., 1].mean(axis=1)

# All networks have about the same number of parameters and of forward operations.
assert np.allclose(n_parameters, BUDGET, rtol=0.03)
assert np.allclose(forward_flops, 2 * BUDGET, rtol=0.06)
assert 0.5 < backward_flops[0] / backward_flops[-1] < 0.65
# One to four layers learn the digits best; 64 stay near chance, 1 in 10.
assert final[:3].min() > 0.95
assert final[:3].min() > final[3:].max()
assert final[-1] < 0.3
# The gradient before training shows it.
assert ratio[0] > 0.1
assert ratio[-1] < 1e-4

# %%
# Picture
# -------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(12, 4), layout="constrained")
    by_accuracy, by_gradient, by_time = figure.subplots(1, 3)
    styles = (("#56B4E9", "^", ":"), ("#E69F00", "s", "--"), ("#0072B2", "o", "-"))
    for k, (color, marker, line) in enumerate(styles):
        runs = accuracy[:, :, k]
        by_accuracy.fill_between(DEPTHS, runs.min(axis=1), runs.max(axis=1), color=color, alpha=0.2, linewidth=0)
        label = f"after {CHECKPOINTS[k]} epochs"
        by_accuracy.plot(DEPTHS, runs.mean(axis=1), color=color, marker=marker, linestyle=line, label=label)
    by_accuracy.axhline(0.1, color="0.5", linewidth=1)
    by_accuracy.text(1, 0.115, "chance", color="0.35")
    by_accuracy.set(ylabel="test accuracy", ylim=(0, 1.03), title="Accuracy: mean and range of 3 runs")
    by_accuracy.legend(loc="center left")

    for k, (name, color, marker) in enumerate((("first layer", "#D55E00", "o"), ("last layer", "#009E73", "s"))):
        by_gradient.plot(DEPTHS, gradient_size[..., k].mean(axis=1), color=color, marker=marker, label=name)
    by_gradient.set(ylabel="root mean square of dL/dW", yscale="log", title="Gradient before training")
    by_gradient.legend(loc="lower left")

    by_time.plot(DEPTHS, seconds.min(axis=1), color="#0072B2", marker="o")
    by_time.set(ylabel="seconds", title=f"Time of {CHECKPOINTS[-1]} epochs, best of 3 runs")
    by_time.set_ylim(bottom=0)

    for axes in (by_accuracy, by_gradient, by_time):
        axes.set_xscale("log", base=2)
        axes.set_xticks(DEPTHS, [str(depth) for depth in DEPTHS])
        axes.set_xlabel("hidden layers, 20,000 parameters in all")
        axes.grid(alpha=0.3)
    figure.savefig("03_deep_or_wide.png", dpi=120)
    print("The picture is in 03_deep_or_wide.png")
