"""The four steps of training: how many rows should a batch have?
==============================================================

To run it::

    python examples/05_four_steps_of_training.py

Training repeats four steps on a batch of n rows::

    1. forward     a_l = f(a_(l-1) W_l + b_l)           for l = 1, ..., L, from a_0 = X
    2. cost        C = -1/n Σ_i log (a_L)_(i, y_i)      the mean log-loss of the probabilities of the true classes
    3. backward    g = dC/d(params)                     the chain rule, from dC/da_L back to the first layer
    4. descent     params <- params - eta g             a step of length eta |g| against the gradient

The batch may be all the training rows (full batch), a few (mini-batch) or a single one (online). The larger it is, the
closer g comes to the gradient over all rows, but the more rows a step takes. Here all three train one network from the
same initial weights, on 1,797 handwritten digits, until the cost over all of them is below 0.03. Online training needs
the fewest rows and the full batch the fewest steps. The mini-batch needs the least time: it needs few rows and not many
steps, and one step with 32 rows, which go through each layer in one matrix product, is faster than 32 steps of one row.
"""

import time

import numpy as np
from sklearn.datasets import load_digits

from fastbp import MLPClassifier, Network

X, y = load_digits(return_X_y=True)
X = X / 16  # grey levels from 0 to 1

# %%
# The four steps, one line each: an epoch, which is one pass over all the rows, in batches of 32.

network = Network([64, 32, 10], "tanh", "softmax", loss="log_loss", random_state=0)
Y = np.eye(10)[y]  # a row of zeros for each digit, with a one at its class
eta = 0.3
for start in range(0, len(X), 32):
    X_batch, Y_batch = X[start : start + 32], Y[start : start + 32]
    n = len(X_batch)
    a = network.forward(X_batch)
    cost = -np.sum(Y_batch * np.log(a)) / n
    gradient, _ = network.backward(X_batch, -Y_batch / a / n)  # from dC/da_L
    network.params -= eta * gradient

# %%
# An estimator takes the same steps in a compiled loop; partial_fit is one epoch. Here it uses plain gradient descent,
# without momentum and penalty, and one thread, so that the times are those of the arithmetic.

plain = {"solver": "sgd", "momentum": 0, "alpha": 0, "random_state": 0, "n_threads": 1}
estimator = MLPClassifier((32,), "tanh", batch_size=32, learning_rate_init=eta, shuffle=False, **plain)
estimator.partial_fit(X, y, classes=range(10))
difference = abs(estimator.network_.params - network.params).max()
print(f"After an epoch, with cost {cost:.2f} in its last batch, both sets of weights agree to {difference:.0e}")
assert difference < 1e-9


# %%
# Three batch sizes, each with the best of the learning rates 0.01, 0.03, 0.1, 0.3, 1 and 3: the one that needs the
# fewest rows. Online training needs a small learning rate, because the gradients of single rows have very different
# directions.


class Recorder:
    """Records the rows seen, the time and the cost over all rows after each epoch, and ends training below a goal."""

    def __init__(self, goal):
        self.goal, self.rows, self.seconds, self.costs = goal, [], [], []

    def on_fit_begin(self, state):
        self.started = time.perf_counter()

    def on_epoch_end(self, state):
        self.seconds.append(time.perf_counter() - self.started)
        cost, _ = state.network.loss_and_gradient(state.X, state.targets)
        self.rows.append(state.rows_seen)
        self.costs.append(cost)
        self.started = time.perf_counter()  # the time in here is not counted
        return cost < self.goal


def race(batch_size, eta):
    """(rows seen, seconds, cost) after each epoch."""
    records = [Recorder(goal=0.03) for _ in range(3)]
    for record in records:
        model = MLPClassifier((32,), "tanh", batch_size=batch_size, learning_rate_init=eta, max_iter=1000, **plain)
        model.set_params(n_iter_no_change=np.inf, callbacks=record)  # only the recorder ends training
        model.fit(X, y)
    # The three runs take the same steps; the smallest time of each epoch is the least disturbed one.
    seconds = np.cumsum(np.min([record.seconds for record in records], axis=0))
    return record.rows, seconds, record.costs


runs = {
    "full batch": (len(X), race(len(X), eta=1.0)),
    "mini-batch": (32, race(32, eta=1.0)),
    "online": (1, race(1, eta=0.1)),
}
print(f"\n{'until the cost is 0.03':24}{'rows seen':>10}{'steps':>8}{'seconds':>9}{'µs a step':>11}{'µs a row':>10}")
rows_seen, steps = {}, {}
for name, (batch_size, (rows, seconds, costs)) in runs.items():
    rows_seen[name] = rows[-1]
    steps[name] = len(costs) * -(-len(X) // batch_size)  # -(-a // b) is a / b, rounded up
    microseconds = 1e6 * seconds[-1]
    print(
        f"{name + f', n = {batch_size:,}':24}{rows_seen[name]:10,}{steps[name]:8,}{seconds[-1]:9.4f}"
        f"{microseconds / steps[name]:11.2f}{microseconds / rows_seen[name]:10.2f}"
    )

# The numbers of rows and steps do not depend on the machine and can be asserted; seconds do, and are only printed.
assert rows_seen["online"] < rows_seen["mini-batch"] < rows_seen["full batch"] / 5
assert steps["full batch"] < steps["mini-batch"] < steps["online"]


def draw(path):
    # matplotlib.figure instead of pyplot: it opens no window and changes no global state
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    by_rows, by_seconds = figure.subplots(1, 2, sharey=True)
    styles = {
        "full batch": {"color": "#E69F00", "linestyle": "-"},
        "mini-batch": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
        "online": {"color": "#009E73", "linestyle": "--", "marker": "s"},
    }
    for name, (batch_size, (rows, seconds, costs)) in runs.items():
        label = f"{name}, n = {batch_size:,}"
        by_rows.loglog(rows, costs, label=label, markersize=4, **styles[name])
        by_seconds.loglog(seconds, costs, markersize=4, **styles[name])
    by_rows.set(title="Number of rows", xlabel="rows seen", ylabel="cost C over all rows")
    by_seconds.set(title="Time", xlabel="seconds of training")
    for axes in (by_rows, by_seconds):
        axes.grid(alpha=0.3)
    by_rows.legend()
    figure.savefig(path, dpi=150)


# %%
# Picture
# -------

try:
    draw("05_four_steps_of_training.png")
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    print("The picture is 05_four_steps_of_training.png")
