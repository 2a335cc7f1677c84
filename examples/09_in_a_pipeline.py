"""In a scikit-learn pipeline: are the predicted probabilities of a network reliable?
==================================================================================

To run it::

    python examples/09_in_a_pipeline.py

442 patients with diabetes, from scikit-learn: has the disease progressed more after a year than in the median patient?
Eight columns of the table are numbers, and two are categories, the sex and the weight class by the body mass index. A
network that is trained on so few rows until its loss stops decreasing overfits, and its predicted probabilities are
much too close to 0 and 1. The log-loss, the mean of -log p(true class), is large then; predicting 1/2 for all patients
gives log 2 = 0.693.

The script shows two remedies, and which columns the network uses:

- calibration: the probability p = f(z), f the logistic function, becomes f(z / T), where the temperature T > 1 is
  fitted on rows that the network was not trained on (Guo et al., 2017, On calibration of modern neural networks);
- a grid search over the penalty alpha and early stopping, scored by the log-loss;
- permutation importance: the increase of the log-loss of test patients when a column is shuffled among them.

All numbers are for test patients, who are used neither in training nor in search or calibration (5-fold
cross-validation). Logistic regression is the baseline.
"""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastbp import MLPClassifier

# %%
# The table
# ---------

diabetes = load_diabetes(scaled=False)
column = dict(zip(diabetes.feature_names, diabetes.data.T, strict=True))
y = diabetes.target > np.median(diabetes.target)

numbers = {
    "age": column["age"], "blood pressure": column["bp"], "total cholesterol": column["s1"], "LDL": column["s2"],
    "HDL": column["s3"], "cholesterol / HDL": column["s4"], "log triglycerides": column["s5"], "glucose": column["s6"],
}  # fmt: skip
weight_class = np.array(["below 25", "overweight", "obese"])[np.digitize(column["bmi"], [25, 30])]  # classes of the WHO
categories = {"sex": np.where(column["sex"] == 1, "1", "2"), "weight class": weight_class}
names = [*numbers, *categories]
# Numbers and text in one array; of a pandas or polars DataFrame, ColumnTransformer takes the columns by name.
X = np.array([*numbers.values(), *categories.values()], dtype=object).T

# %%
# The pipeline
# ------------

prepare = ColumnTransformer(
    [
        ("numbers", StandardScaler(), [names.index(name) for name in numbers]),
        ("categories", OneHotEncoder(drop="if_binary"), [names.index(name) for name in categories]),
    ]
)


def pipeline(classifier):
    return Pipeline([("prepare", prepare), ("classify", classifier)])


# validation_fraction is for early stopping, which the search may turn on; n_iter_no_change is the patience, also
# without early stopping.
net = MLPClassifier((50,), learning_rate_init=0.01, max_iter=2000, validation_fraction=0.2, n_iter_no_change=20,
                    random_state=0)  # fmt: skip
grid = {"classify__alpha": [0.3, 1, 3, 10], "classify__early_stopping": [False, True]}
models = {
    "logistic regression": pipeline(LogisticRegression()),
    "net": pipeline(net),
    "net, calibrated": CalibratedClassifierCV(pipeline(net), method="temperature", ensemble=False),
    "net, searched": GridSearchCV(pipeline(net), grid, scoring="neg_log_loss", cv=3),
}

# %%
# Evaluation on test rows
# -----------------------

splitter = StratifiedKFold(5, shuffle=True, random_state=0)
probability = {name: np.empty(len(y)) for name in models}
fitted = {}
print("                     log-loss  accuracy")
for name, model in models.items():
    run = cross_validate(model, X, y, cv=splitter, return_estimator=True, return_indices=True)
    fitted[name], tests = run["estimator"], run["indices"]["test"]
    for estimator, test in zip(fitted[name], tests, strict=True):
        probability[name][test] = estimator.predict_proba(X[test])[:, 1]
    p = probability[name]
    print(f"{name:19}  {log_loss(y, p):8.3f}  {accuracy_score(y, p > 0.5):8.1%}")

loss = {name: log_loss(y, p) for name, p in probability.items()}
coin = np.log(2)
assert loss["net"] > coin  # worse than predicting 1/2 for all patients
assert loss["net, calibrated"] < coin
assert loss["net, searched"] < coin
for name in ("net", "net, calibrated", "net, searched"):
    p = probability[name]
    sure = np.maximum(p, 1 - p) > 0.95
    right = sure & ((p > 0.5) == y)
    print(f"{name:19}  a probability of at least 95 % for {sure.sum():3} patients, correct for {right.sum():3} of them")

print("The parameters found by the search in each fold:")
for search in fitted["net, searched"]:
    chosen = search.best_estimator_["classify"]
    stopping = "with" if chosen.early_stopping else "without"
    print(f"  alpha {chosen.alpha:g}, {stopping} early stopping: {chosen.n_iter_} epochs")

# %%
# Permutation importance
# ----------------------

importances = np.zeros(len(names))
for search, test in zip(fitted["net, searched"], tests, strict=True):
    shuffled = permutation_importance(search, X[test], y[test], scoring="neg_log_loss", n_repeats=10, random_state=0)
    importances += shuffled.importances_mean / len(tests)
order = np.argsort(importances)
print("Increase of the log-loss when a column is shuffled:")
for i in order[::-1]:
    print(f"  {names[i]:19} {importances[i]:+.3f}")
assert names[order[-1]] == "log triglycerides"

# %%
# The picture
# -----------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(10.5, 4.5), layout="constrained")
    reliability, bars = figure.subplots(1, 2)
    reliability.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    styles = {"net": ("#D55E00", "o"), "net, calibrated": ("#009E73", "s"), "net, searched": ("#0072B2", "^")}
    for name, (color, marker) in styles.items():
        observed, predicted = calibration_curve(y, probability[name], n_bins=6, strategy="quantile")
        reliability.plot(predicted, observed, color=color, marker=marker, label=f"{name}: {loss[name]:.2f}")
    reliability.set(xlabel="predicted probability of progress", ylabel="share of patients with progress",
                    title="Reliability (sixths of the patients)", aspect="equal")  # fmt: skip
    reliability.legend(title="log-loss", loc="upper left")
    bars.barh([names[i] for i in order], importances[order], color="#0072B2")
    bars.axvline(0, color="black", linewidth=0.8)
    bars.set(xlabel="increase of the log-loss when the column is shuffled", title="Importance, searched network")
    for axes in (reliability, bars):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    figure.savefig("09_in_a_pipeline.png", dpi=150)
    print("The picture is in 09_in_a_pipeline.png")
