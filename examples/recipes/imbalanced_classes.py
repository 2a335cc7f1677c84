"""Rare classes: weights of classes, and the samplers of imbalanced-learn
======================================================================

To run it::

    python examples/recipes/imbalanced_classes.py

One row in fifty is of the rare class. A network that is trained on all rows alike finds few of them. There are several
remedies: weights of the classes in the loss, which `MLPClassifier` has as `class_weight`; samplers of imbalanced-learn,
which draw rows anew inside a pipeline, for training only; and another threshold for the probabilities of the network
that was trained on all rows alike, chosen by scikit-learn's `TunedThresholdClassifierCV`. The balanced accuracy is the
mean of the accuracies of the two classes. All remedies raise it. The probabilities of the first and the last model are
calibrated; those of the others are those of a world with as many rare as frequent rows.
"""

from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, balanced_accuracy_score, recall_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier

X, y = make_classification(
    12000, 20, n_informative=8, n_clusters_per_class=4, weights=[0.98], flip_y=0.002, class_sep=1.0, random_state=3
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
settings = dict(hidden_layer_sizes=(32,), alpha=0.01, max_iter=500, tol=0.001, random_state=0)
network, weighted = MLPClassifier(**settings), MLPClassifier(**settings, class_weight="balanced")
models = {
    "all rows alike": make_pipeline(StandardScaler(), network),
    "class_weight='balanced'": make_pipeline(StandardScaler(), weighted),
    "SMOTE": make_pipeline(StandardScaler(), SMOTE(random_state=0), network),
    "RandomUnderSampler": make_pipeline(StandardScaler(), RandomUnderSampler(random_state=0), network),
    "another threshold": TunedThresholdClassifierCV(
        make_pipeline(StandardScaler(), network), scoring="balanced_accuracy", cv=3, random_state=0
    ),
}
print(f"{y_test.mean():.1%} of the test rows are of the rare class\n")
print(f"{'':24} balanced accuracy   found   average precision   mean probability")
balanced, mean = {}, {}
for name, model in models.items():
    model.fit(X_train, y_train)
    labels, probability = model.predict(X_test), model.predict_proba(X_test)[:, 1]
    balanced[name], mean[name] = balanced_accuracy_score(y_test, labels), probability.mean()
    found, precision = recall_score(y_test, labels), average_precision_score(y_test, probability)
    print(f"{name:24} {balanced[name]:17.3f}   {found:5.0%}   {precision:17.3f}   {mean[name]:16.1%}")

assert all(balanced[name] > balanced["all rows alike"] for name in models if name != "all rows alike")
assert abs(mean["all rows alike"] - y_test.mean()) < 0.01
assert mean["class_weight='balanced'"] > 2 * y_test.mean()
