"""A table as it comes: numbers, categories and missing values, without any preparation or tuning
==============================================================================================

To run it::

    python examples/15_tables.py

`TabularMLPClassifier` and `TabularMLPRegressor` take a data frame as it is: strings, categories, booleans and missing
values in any column. They train several networks at the same time, each without a tenth of the rows. These out-of-bag
rows serve four purposes: they give the weights of the networks, calibrate the probabilities, give intervals for
predictions, and tell which columns count.

The script makes a table of loans with what tables have: skewed amounts, a frequent zero, categories of few and of many
levels, a threshold, an interaction, missing values that mean something, and labels that no model can predict with
certainty. The true probabilities are known here, so that it can say how far each model is from the best possible one.
It compares with scikit-learn's gradient boosting, `HistGradientBoostingClassifier`, and shows in a picture how often
the predicted probabilities come true. Needs pandas.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from fastbp import TabularMLPClassifier, TabularMLPRegressor

# %%
# The table
# ---------

N_ROWS = 6000


def make_loans(n_rows, seed):
    """A table of loans, the probability of a default, and the rate of interest."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(8, 0.6, n_rows)
    savings = np.where(rng.random(n_rows) < 0.6, 0, rng.lognormal(8, 1.5, n_rows))  # most people have none
    age = rng.integers(18, 80, n_rows).astype(float)
    years = np.minimum(rng.gamma(2, 4, n_rows), age - 17)
    purpose = rng.choice(["car", "house", "school", "travel", "debts"], n_rows, p=[0.3, 0.2, 0.2, 0.1, 0.2])
    town = rng.integers(0, 40, n_rows)
    is_married = rng.random(n_rows) < 0.5
    risk_of_town = rng.normal(0, 0.7, 40)[town]
    z = (
        -0.9 * np.log(income / 3000)
        - 1.2 * (savings > 0)
        + 0.9 * np.sin(age / 9)
        + 1.3 * ((purpose == "debts") & ~is_married)
        - 0.8 * (years > 5)
        + risk_of_town
    )
    rate = 3 + 1.5 * z + 2 * (purpose == "travel") + 0.4 * rng.standard_normal(n_rows)
    years[rng.random(n_rows) < 0.15] = np.nan  # people without a contract do not answer, nor do some others
    is_silent = rng.random(n_rows) < 0.1
    z = z + 0.8 * is_silent
    table = pd.DataFrame(
        {
            "income": np.where(is_silent, np.nan, income.round(2)),
            "savings": savings.round(2),
            "age": pd.array(age.astype(int), dtype="Int64"),
            "years": years,
            "purpose": pd.Categorical(purpose),
            "town": np.array([f"town {number}" for number in town], dtype=object),
            "is_married": is_married,
        }
    )
    table.loc[rng.random(n_rows) < 0.05, "purpose"] = None
    return table, expit(z - 0.3), rate


def timed(model, X, y):
    """The fitted model and the seconds."""
    begin = time.perf_counter()
    model.fit(X, y)
    return model, time.perf_counter() - begin


# %%
# Classification
# --------------

X, probability, rate = make_loans(N_ROWS, seed=0)
y = np.where(np.random.default_rng(1).random(N_ROWS) < probability, "default", "paid")
splits = train_test_split(X, y, probability, rate, random_state=0, test_size=1 / 3)
X_train, X_test, y_train, y_test, p_train, p_test, rate_train, rate_test = splits
print(X.head(4).to_string(), "\n")
is_default = y_test == "default"
best_accuracy = np.mean((p_test > 0.5) == is_default)
print(f"{'classification':32}{'seconds':>8}{'error':>8}{'log-loss':>10}")
print(f"{'the true probabilities':32}{'':8}{1 - best_accuracy:8.4f}{log_loss(is_default, p_test):10.4f}")
# what HistGradientBoosting needs: strings as categories
with_categories = [frame.astype({"town": "category"}) for frame in (X_train, X_test)]
boosting, seconds = timed(HistGradientBoostingClassifier(random_state=0), with_categories[0], y_train)
curves = {"HistGradientBoosting": boosting.predict_proba(with_categories[1])[:, 0]}
models = {"HistGradientBoosting": (boosting.score(with_categories[1], y_test), seconds)}
for preset in ("fast", "default"):
    model, seconds = timed(TabularMLPClassifier(preset=preset, random_state=0), X_train, y_train)
    name = f"TabularMLP, preset={preset!r}"
    curves[name], models[name] = model.predict_proba(X_test)[:, 0], (model.score(X_test, y_test), seconds)
for name, (accuracy, seconds) in models.items():
    print(f"{name:32}{seconds:8.2f}{1 - accuracy:8.4f}{log_loss(is_default, curves[name]):10.4f}")

# %%
# Columns that count
# ------------------

print("\nWhat counts: how much the accuracy on out-of-bag rows falls when a column is permuted")
for name, importance in sorted(zip(X.columns, model.feature_importances_, strict=True), key=lambda pair: -pair[1]):
    print(f"{name:>12} {importance:7.4f} {'#' * max(0, round(400 * importance))}")

# %%
# Regression and intervals
# ------------------------

print("\nregression: the rate of interest")
boosting, seconds = timed(HistGradientBoostingRegressor(random_state=0), with_categories[0], rate_train)
error = np.sqrt(np.mean((boosting.predict(with_categories[1]) - rate_test) ** 2))
print(f"{'HistGradientBoosting':32}{seconds:8.2f} s, root mean squared error {error:.4f}")
model, seconds = timed(TabularMLPRegressor(random_state=0), X_train, rate_train)
error = np.sqrt(np.mean((model.predict(X_test) - rate_test) ** 2))
print(f"{'TabularMLP':32}{seconds:8.2f} s, root mean squared error {error:.4f}")
for coverage in (0.5, 0.8, 0.95):
    lower, upper = model.predict_interval(X_test, coverage=coverage)
    inside = np.mean((lower <= rate_test) & (rate_test <= upper))
    print(f"intervals for {coverage:.0%}: width {np.mean(upper - lower):.2f}, {inside:.1%} of the test rows inside")

# %%
# Picture
# -------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("\nNo picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="as frequent as predicted")
    for name, predicted in curves.items():
        frequency, mean = calibration_curve(is_default, predicted, n_bins=10, strategy="quantile")
        axes.plot(mean, frequency, marker="o", markersize=4, label=name)
    axes.set(xlabel="predicted probability of a default", ylabel="share of defaults", title="Calibration on test rows")
    axes.legend()
    picture = Path("15_tables.png")
    figure.savefig(picture, dpi=120)
    print(f"\nCalibration: {picture}")
