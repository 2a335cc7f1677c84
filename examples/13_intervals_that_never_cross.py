"""Quantiles that never cross: an interval, its median, and what goes wrong with one network for each level
========================================================================================================

To run it::

    python examples/13_intervals_that_never_cross.py

The pinball loss at level q is smallest at the q-quantile of y given x (Koenker and Bassett, 1978). Three networks, one
for each of the levels 5 %, 50 % and 95 %, are trained without regard to each other: for some x the 5 % quantile that
one predicts lies above the median of another one. No distribution has such quantiles.

With a list of levels, `fastbp.losses.Quantile` is one loss for one network with an output for each level::

    first quantile    r_1
    each next one     the one before + softplus(r_j),      softplus(r) = log(1 + exp(r)) > 0

The increments are positive for any weights, so the predicted quantiles are in order for every x, also far away from the
training data. The gradient goes through the sums and through softplus, whose derivative is the logistic function.

The script predicts the noise of measurements whose spread depends on x. Inside the range of the training data both ways
are good; the crossings are where data are few, and beyond.
"""

import numpy as np

from fastbp import MLPRegressor
from fastbp.losses import Quantile

# %%
# The data
# --------

LEVELS = [0.05, 0.5, 0.95]
rng = np.random.default_rng(0)


def measure(x):
    """A sine with noise: much of it at the left, hardly any at the right."""
    return np.sin(x) + np.exp(-0.6 * x) * rng.normal(size=x.shape)


x = rng.uniform(0, 6, 300)
y = measure(x)
x_test = rng.uniform(0, 6, 5000)
y_test = measure(x_test)
grid = np.linspace(-3, 9, 1201)

# %%
# Three networks, and one
# -----------------------

SETTINGS = dict(
    hidden_layer_sizes=(50, 50),
    activation="silu",
    alpha=0.0,
    learning_rate_init=0.01,
    batch_size=50,
    max_iter=400,
    n_iter_no_change=np.inf,
    learning_rate="cosine",
)


def separate(x):
    """(n, 3): the predictions of three networks."""
    return np.column_stack([net.predict(x[:, None]) for net in networks])


networks = [
    MLPRegressor(Quantile(level), random_state=seed, **SETTINGS).fit(x[:, None], y) for seed, level in enumerate(LEVELS)
]
joint = MLPRegressor(Quantile(LEVELS), random_state=0, **SETTINGS).fit(x[:, None], y)


def report(name, predict):
    """Print and return the coverage, the share of the grid where quantiles cross, and the test loss."""
    low, _, high = predict(x_test).T
    coverage = np.mean((low <= y_test) & (y_test <= high))
    crossed = np.mean((np.diff(predict(grid)) < 0).any(axis=1))
    error = y_test[:, None] - predict(x_test)
    loss = np.maximum(LEVELS * error, (np.array(LEVELS) - 1) * error).sum(axis=1).mean()
    print(f"  {name:32}{coverage:13.1%}{loss:13.4f}{crossed:18.1%}")
    return coverage, crossed, loss


print("intervals from 5 % to 95 %         coverage    test loss   crossed in [-3, 9]")
apart = report("three networks", separate)
together = report("one network, Quantile(levels)", lambda x: joint.predict(x[:, None]))

assert apart[1] > 0
assert together[1] == 0
for coverage, _, _ in (apart, together):
    assert 0.8 < coverage < 0.97
assert together[2] < 1.1 * apart[2]

# %%
# Picture
# -------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    ways = {"three networks": separate(grid), "one network, Quantile([0.05, 0.5, 0.95])": joint.predict(grid[:, None])}
    for axes, (title, quantiles) in zip(panels, ways.items(), strict=True):
        low, median, high = quantiles.T
        axes.plot(x, y, ".", color="0.6", markersize=4, label="training data")
        axes.fill_between(grid, low, high, where=low <= high, color="tab:blue", alpha=0.2, label="5 % to 95 %")
        crossed = (np.diff(quantiles) < 0).any(axis=1)
        axes.plot(grid, median, color="tab:blue", label="median")
        axes.plot(grid, low, color="tab:blue", linewidth=0.8)
        axes.plot(grid, high, color="tab:blue", linewidth=0.8)
        if crossed.any():
            axes.plot(grid[crossed], np.full(crossed.sum(), -3.8), "|", color="tab:red", label="quantiles cross")
        axes.axvspan(0, 6, color="0.9", zorder=-1)
        axes.set(title=title, xlabel="x", ylim=(-4, 4), xlim=(-3, 9))
        axes.legend(loc="upper right", fontsize="small")
    panels[0].set_ylabel("y")
    figure.savefig("13_intervals_that_never_cross.png", dpi=120)
    print("Picture: 13_intervals_that_never_cross.png")
