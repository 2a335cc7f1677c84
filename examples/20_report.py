"""A network learns nothing: what does a report say of it, and does its advice help?
=================================================================================

To run it::

    python examples/20_report.py

`fastbp.inspection.report(model, X, y)` looks at a fitted estimator with rows that it was not trained on. It measures
errors, calibration, the importance of features, and the gradient in each layer, and it warns in plain words of what it
finds: layers whose gradient vanishes, units that are dead or saturated, input that is not scaled, overfitting, classes
that are never predicted and more, each with what to try. `report.warnings` holds the warnings for programs;
`report.save(path)` writes all of it as one page, which can be sent to others: it needs no other file, no network and no
scripts.

The script trains a network of eight logistic layers on unscaled measurements of tumours. It predicts the same class for
every row. Then the script follows the advice of its report, one change at a time, until nothing is left to warn of, and
writes the report of the last network.
"""

import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier
from fastbp.inspection import report

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # the reports tell of it

SCHEDULE = dict(learning_rate="one_cycle", learning_rate_init=0.01, max_iter=30, n_iter_no_change=np.inf)
STEPS = {
    "eight logistic layers, unscaled": MLPClassifier([30] * 8, "logistic", random_state=0),
    "+ StandardScaler": make_pipeline(StandardScaler(), MLPClassifier([30] * 8, "logistic", random_state=0)),
    "+ activation='relu'": make_pipeline(StandardScaler(), MLPClassifier([30] * 8, random_state=0)),
    "+ one layer": make_pipeline(StandardScaler(), MLPClassifier([30], random_state=0)),
    "+ learning_rate='one_cycle'": make_pipeline(StandardScaler(), MLPClassifier([30], random_state=0, **SCHEDULE)),
}


def draw(reports, path):
    """The accuracy after each change, with the warnings."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for place, found in enumerate(reports.values()):
        is_ill = any(one.severity == "problem" for one in found.warnings)
        axes.barh(place, found.score, color="#D55E00" if is_ill else "#0072B2")
        codes = [one.code for one in found.warnings] or ["nothing to warn of"]
        half = (len(codes) + 1) // 2
        lines = [", ".join(codes[:half]), ", ".join(codes[half:])] if len(codes) > 2 else [", ".join(codes)]
        axes.text(0.01, place, "\n".join(lines), va="center", color="white", fontsize=8)
    axes.set_yticks(range(len(reports)), reports)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="test accuracy", title="What the report warns of, and what its advice brings")
    figure.savefig(path, dpi=120)


X, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = np.where(y == 1, "benign", "malignant")
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)

reports = {name: report(model.fit(X_train, y_train), X_test, y_test) for name, model in STEPS.items()}
for name, found in reports.items():
    print(f"{name:33} accuracy {found.score:.3f}  {', '.join(one.code for one in found.warnings) or 'no warnings'}")

first, *_, last = reports.values()
print(f"\nThe first warning in full:\n\n{first.warnings[0]}\n")
codes = {name: {one.code for one in found.warnings} for name, found in reports.items()}
assert {"vanishing-gradient", "unscaled-input", "class-never-predicted"} <= codes["eight logistic layers, unscaled"]
assert "unscaled-input" not in codes["+ StandardScaler"]
assert "vanishing-gradient" not in codes["+ activation='relu'"]
assert "overfitting" in codes["+ activation='relu'"]
assert "overfitting" not in codes["+ one layer"]
assert not last.warnings
assert first.score < 0.7
assert last.score > 0.9

last.save("20_report.html")
print("The report of the last network, for a browser: 20_report.html")

try:
    draw(reports, "20_report.png")
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    print("Accuracy and warnings: 20_report.png")
