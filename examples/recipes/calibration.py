"""Calibrated probabilities: CalibratedClassifierCV around a network
=================================================================

To run it::

    python examples/recipes/calibration.py

A network that is trained until its loss stops decreasing is too sure of itself: of the rows to which it gives a class
with 95 %, fewer than 95 % have this class. `CalibratedClassifierCV` of scikit-learn fits the calibration on rows that
the network was not trained on, those that a cross-validation holds out. With `method="temperature"`, it divides the raw
outputs by a number, the temperature (Guo et al., 2017, On calibration of modern neural networks), which does not change
which class is the most probable.
`TabularMLPClassifier` does the same by itself, on its out-of-bag rows.
"""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier

# Four classes, with one label in ten that is wrong
X, y = make_classification(
    3000, 20, n_informative=8, n_classes=4, n_clusters_per_class=2, flip_y=0.1, class_sep=1.0, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

network = make_pipeline(
    StandardScaler(), MLPClassifier((100,), learning_rate_init=0.003, max_iter=1000, tol=0.002, random_state=0)
)
network.fit(X_train, y_train)
calibrated = CalibratedClassifierCV(network, method="temperature", cv=5, ensemble=False).fit(X_train, y_train)


def calibration_error(probabilities):
    """The expected calibration error: the mean distance of confidence and accuracy in ten bins of confidence."""
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y_test
    bins = np.minimum((10 * confidence).astype(int), 9)
    errors = [abs(confidence[bins == b].mean() - is_right[bins == b].mean()) for b in np.unique(bins)]
    return np.average(errors, weights=np.unique(bins, return_counts=True)[1])


print(f"{'':12} log-loss   calibration error   accuracy")
losses, errors = [], []
for name, model in (("network", network), ("calibrated", calibrated)):
    probabilities = model.predict_proba(X_test)
    losses.append(log_loss(y_test, probabilities))
    errors.append(calibration_error(probabilities))
    print(f"{name:12} {losses[-1]:8.3f}   {errors[-1]:17.3f}   {model.score(X_test, y_test):8.3f}")

assert losses[1] < losses[0]
assert errors[1] < 0.7 * errors[0]
