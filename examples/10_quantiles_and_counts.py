"""Losses other than the squared error: a prediction interval, and a model of counts
=================================================================================

To run it::

    python examples/10_quantiles_and_counts.py

The loss determines what a network predicts. The squared error is smallest at the mean of y given x; other losses have
other minima. Backpropagation only needs their derivative by the raw output r = z_L::

    pinball loss at level q    l(y, r) = q (y - r)         if y > r,    dl/dr = -q
                                         (1 - q) (r - y)   otherwise,   dl/dr = 1 - q

Its mean derivative, (1 - q) P(y <= r) - q P(y > r) = P(y <= r) - q, is zero where r is the q-quantile of y (Koenker
and Bassett, 1978). Two outputs at the levels 5 % and 95 % are the ends of an interval that should contain 90 % of
future values. ::

    Poisson loss               l(y, r) = y log(y / a) - y + a  with a = exp(r),    dl/dr = a - y

It is half the deviance of a Poisson variable of mean a, and smallest at the mean of y, as the squared error is. But
the output is positive, and an error of 5 has a larger loss where 2 are expected than where 50 are.

The script computes intervals for 442 patients with diabetes, whose coverage must be checked on test patients; then it
predicts counts of dots in scanned digits, for which a network with the squared error predicts negative numbers.
"""

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import mean_poisson_deviance, mean_squared_error
from sklearn.model_selection import KFold, cross_val_predict, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPRegressor

# %%
# Quantiles: a custom loss
# ------------------------

LEVELS = np.array([0.05, 0.95])


def pinball(y_true, raw_prediction, sample_weight):
    """The pinball loss of each row, summed over the outputs (one for each level), and its derivative by the output."""
    error = y_true - raw_prediction
    loss = np.where(error > 0, LEVELS * error, (LEVELS - 1) * error).sum(axis=1)
    gradient = np.where(error > 0, -LEVELS, 1 - LEVELS)
    if sample_weight is not None:
        loss, gradient = loss * sample_weight, gradient * sample_weight[:, None]
    return loss, gradient


X, progress = load_diabetes(return_X_y=True, scaled=False)
Y = np.column_stack([progress, progress]) / 100  # a target for each output; of a size near 1
bmi = X[:, [2]]
nothing = np.zeros((len(X), 1))  # without a feature only the biases are trained: the quantiles of all patients


def interval_net(alpha=0.0):
    net = MLPRegressor(pinball, alpha=alpha, learning_rate_init=0.003, batch_size=50, max_iter=500, random_state=0)
    return make_pipeline(StandardScaler(), net)


scores = {
    "coverage": lambda net, X, Y: np.mean(inside(net.predict(X), Y)),
    "width": lambda net, X, Y: 100 * np.diff(net.predict(X)).mean(),
    "pinball": lambda net, X, Y: -100 * pinball(Y, net.predict(X), None)[0].mean(),
}


def inside(ends, Y):
    return (ends[:, 0] <= Y[:, 0]) & (Y[:, 0] <= ends[:, 1])


print("90 % intervals for the progress of diabetes, 5-fold cross-validation:")
print("                          coverage of               on test patients")
print("                      training     test     mean width    pinball loss")
cases = {
    "no feature": (nothing, 0.0),
    "body mass index": (bmi, 0.0),
    "all ten": (X, 0.0),
    "all ten, alpha=1": (X, 1.0),
}
folds = KFold(5, shuffle=True, random_state=0)
coverage, pinball_loss = {}, {}
for name, (features, alpha) in cases.items():
    run = cross_validate(interval_net(alpha), features, Y, cv=folds, scoring=scores, return_train_score=True)
    coverage[name] = run["test_coverage"].mean()
    pinball_loss[name] = -run["test_pinball"].mean()
    print(
        f"  {name:18}  {run['train_coverage'].mean():8.1%}  {coverage[name]:7.1%}"
        f"  {run['test_width'].mean():13.0f}  {pinball_loss[name]:14.1f}"
    )
# Features improve the interval; without a penalty it is too narrow, which only test patients show.
assert 0.85 < coverage["body mass index"] < 0.95
assert 0.85 < coverage["all ten, alpha=1"] < 0.95
assert coverage["all ten"] < 0.85
assert pinball_loss["all ten, alpha=1"] < pinball_loss["body mass index"] < pinball_loss["no feature"]

# %%
# Counts
# ------

# %%
# scikit-learn's digits are counts: of the dark dots in each block of 4 × 4 dots of a scan, in 8 rows of 8 blocks. Given
# the lower half of a digit, how many of the 128 dots at the right of its upper half are dark?

digits = load_digits().images
lower_half = digits[:, 4:].reshape(len(digits), -1) / 16
dots = digits[:, :4, 6:].sum(axis=(1, 2))
print(f"Dots: from 0 (in {np.mean(dots == 0):.0%} of the digits) to {dots.max():.0f}, mean {dots.mean():.1f}")

folds = KFold(3, shuffle=True, random_state=0)
expected = {"constant": np.full(len(dots), dots.mean())}
for loss in ("squared_error", "poisson"):
    net = MLPRegressor(loss, (50,), alpha=1, learning_rate_init=0.003, batch_size=50, max_iter=500, random_state=0)
    expected[loss] = cross_val_predict(net, lower_half, dots, cv=folds)

print("Predictions for test digits:")
print("                 mean Poisson deviance   mean squared error   predictions below 0")
deviance = {}
for name, mu in expected.items():
    # The deviance is infinite for mu <= 0: such predictions are raised to a floor, of several floors the one with the
    # smallest deviance. (The deviance of Poisson counts would be about 1. These counts vary more, but the minimum of
    # the loss is still at their mean.)
    floors = (0.01, 0.03, 0.1, 0.3, 1, 3)
    deviance[name] = min(mean_poisson_deviance(dots, np.maximum(mu, floor)) for floor in floors)
    print(f"  {name:13}  {deviance[name]:21.2f}  {mean_squared_error(dots, mu):19.1f}  {np.mean(mu < 0):20.1%}")
assert deviance["poisson"] < deviance["squared_error"] < deviance["constant"]
assert (expected["poisson"] > 0).all()
assert (expected["squared_error"] < 0).any()

# %%
# The pictures
# ------------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(10.5, 4.5), layout="constrained")
    band, bars = figure.subplots(1, 2)
    seen, unseen = train_test_split(np.arange(len(X)), test_size=1 / 3, random_state=0)
    net = interval_net().fit(bmi[seen], Y[seen])
    grid = np.linspace(bmi.min(), bmi.max(), 200)
    band.fill_between(grid, *(100 * net.predict(grid[:, None]).T), color="#56B4E9", alpha=0.4, label="5 % to 95 %")
    covered = inside(net.predict(bmi[unseen]), Y[unseen])
    for name, rows, color, marker in (
        ("inside", unseen[covered], "#0072B2", "o"),
        ("outside", unseen[~covered], "#D55E00", "x"),
    ):
        label = f"test patients {name}: {len(rows)}"
        band.scatter(bmi[rows, 0], progress[rows], s=16, color=color, marker=marker, label=label)
    band.set(xlabel="body mass index", ylabel="progress of diabetes", ylim=(0, 460), title="A 90 % prediction interval")
    for name, color in (("squared_error", "#D55E00"), ("poisson", "#0072B2")):
        predicted = expected[name][dots == 0]
        bars.hist(predicted, bins=np.arange(-8, 25), color=color, histtype="step", linewidth=2, label=name)
    bars.axvline(0, color="black", linewidth=0.8)
    bars.set(xlabel="predicted dots", ylabel="digits", title="Predictions for digits without a dark dot")
    for axes in (band, bars):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend()
    figure.savefig("10_quantiles_and_counts.png", dpi=150)
    print("The picture is in 10_quantiles_and_counts.png")
