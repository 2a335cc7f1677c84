"""What a report measures is what scikit-learn measures: calibration, coverage, importances, scores."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error

from fastbp import MLPClassifier, MLPRegressor, TabularMLPRegressor
from fastbp.inspection import gradient_flow
from fastbp.inspection.reports import importances
from fastbp.inspection.reports.calibration import error_by_chance, expected_error, reliability
from fastbp.inspection.reports.evidence import Evidence
from fastbp.inspection.reports.outcomes import LEVELS, ClassPart
from fastbp.inspection.reports.subject import subject_of
from fastbp.losses import Quantile
from report_cases import SETTINGS, diabetes, fitted, healthy_classifier, iris, tabular_classifier

RNG = np.random.default_rng(0)


def evidence_of(model, X, y, n_repeats=5, **options):
    return Evidence(subject_of(model, X, y, **options), n_repeats=n_repeats, random_state=0)


def binary_part(n=1000):
    rng = np.random.default_rng(0)
    p = rng.random(n)
    true = (rng.random(n) < p**2).astype(int)
    return ClassPart("", ["no", "yes"], true, (p > 0.5).astype(int), np.column_stack([1 - p, p]))


def test_reliability_is_the_calibration_curve_of_sklearn():
    part = binary_part()
    bins = reliability(part)
    observed, predicted = calibration_curve(part.true, part.probabilities[:, 1], n_bins=10, strategy="quantile")
    assert_allclose(bins.observed, observed)
    assert_allclose(bins.predicted, predicted)
    assert bins.of_class == "yes"
    assert_array_equal(bins.weights, 100)
    # E|p - p^2| is 1/6
    assert_allclose(expected_error(bins), 1 / 6, atol=0.03)  # 1000 rows: the standard error is about 0.014


def test_error_by_chance():
    """Of probabilities that are right, the error is what chance makes it, and rows of equal weights are rows."""
    rng = np.random.default_rng(0)
    errors, expected = [], []
    for _ in range(200):
        p = rng.random(100)
        true = (rng.random(100) < p).astype(int)
        bins = reliability(ClassPart("", ["no", "yes"], true, true, np.column_stack([1 - p, p])), np.full(100, 3.0))
        assert_allclose(bins.n_effective, 10)
        errors.append(expected_error(bins))
        expected.append(error_by_chance(bins))
    assert_allclose(np.mean(errors), np.mean(expected), rtol=0.05)  # 200 runs: the standard error is about 2 %


def test_weights_count_as_repeated_rows():
    part, weight = binary_part(60), RNG.integers(1, 4, 60)
    repeated = ClassPart(
        "", part.classes, *(np.repeat(a, weight, axis=0) for a in (part.true, part.predicted, part.probabilities))
    )
    all_in_one = lambda p: ClassPart("", p.classes, p.true, p.predicted, np.full_like(p.probabilities, 0.5))  # noqa: E731
    one, other = reliability(all_in_one(part), weight), reliability(all_in_one(repeated))
    assert_allclose(one.observed, other.observed)
    assert_allclose(one.weights, other.weights)


def test_of_several_classes_the_predicted_one_counts():
    probabilities = RNG.dirichlet([1, 1, 1], 500)
    predicted = probabilities.argmax(axis=1)
    part = ClassPart("", list("abc"), predicted, predicted, probabilities)
    bins = reliability(part)
    assert bins.of_class is None
    assert_array_equal(bins.observed, 1)
    assert_allclose(np.average(bins.predicted, weights=bins.weights), probabilities.max(axis=1).mean())


def test_scores():
    model, X, y = healthy_classifier()
    evidence = evidence_of(model, X, y)
    assert evidence.score == model.score(X, y)
    assert_allclose(evidence.further_scores["Log-loss"], log_loss(y, model.predict_proba(X)))
    assert_allclose(evidence.constant_score, max(y.mean(), 1 - y.mean()))
    X, y = diabetes()
    model = fitted(MLPRegressor(**SETTINGS), X, y)
    weight = RNG.random(len(y))
    evidence = evidence_of(model, X, y, sample_weight=weight)
    assert evidence.score == model.score(X, y, weight)
    predicted = model.predict(X)
    assert_allclose(
        list(evidence.further_scores.values()),
        [
            mean_absolute_error(y, predicted, sample_weight=weight),
            root_mean_squared_error(y, predicted, sample_weight=weight),
        ],
    )


def test_coverage_of_quantiles():
    X, y = diabetes()
    levels = [0.1, 0.5, 0.9]
    model = fitted(MLPRegressor(Quantile(levels), **SETTINGS), X, y)
    found = evidence_of(model, X, y).outcome.coverage
    assert_array_equal(found.expected, levels)
    assert_allclose(found.observed, (y[:, None] <= model.predict(X)).mean(axis=0))


def test_coverage_of_normal_distributions():
    X, y = diabetes()
    model = fitted(MLPRegressor("gaussian", **SETTINGS), X, y)
    found = evidence_of(model, X, y).outcome.coverage
    mean, std = model.predict(X, return_std=True)
    assert_array_equal(found.expected, LEVELS)
    inside = np.abs(y - mean) <= 1.959963984540054 * std
    assert_allclose(found.observed[-1], inside.mean())


def test_coverage_of_an_ensemble():
    X, y = diabetes()
    model = fitted(TabularMLPRegressor(preset="fast", epochs=3, random_state=0), X, y)
    found = evidence_of(model, X, y).outcome.coverage
    low, high = model.predict_interval(X, coverage=0.9)
    assert_allclose(found.observed[found.expected == 0.9], ((low <= y) & (y <= high)).mean())


def test_importances_are_those_of_sklearn():
    X, y = iris()
    model = fitted(MLPClassifier(**SETTINGS), X, y)
    found = evidence_of(model, X, y, n_repeats=3).importances
    theirs = permutation_importance(model, X, y, n_repeats=3, random_state=0)
    assert (found.n_rows, found.n_repeats) == (150, 3)
    assert_allclose(found.means, theirs.importances_mean)
    assert_allclose(found.deviations, theirs.importances_std)


def test_importances_of_columns_that_count():
    model, X, y = tabular_classifier()
    means = dict(zip(X.columns, evidence_of(model, X, y).importances.means, strict=True))
    assert means["age"] > means["children"] + 0.1


#: Columns times parameters of the model of irises below
WORK = 4 * (5 * 8 + 9 * 3)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MOST_COLUMNS", 3, "X has 4 columns, and at most 3"),
        ("MOST_WORK", 99 * WORK, "shuffle each of 4 columns once on 100 rows would take 27,000 multiplications, more"),
    ],
)
def test_importances_have_a_limit(limit, value, message, monkeypatch):
    X, y = iris()
    monkeypatch.setattr(importances, limit, value)
    assert message in evidence_of(fitted(MLPClassifier(**SETTINGS), X, y), X, y).importances


@pytest.mark.parametrize(
    ("rows", "n_rows", "n_repeats"), [(750, 150, 5), (600, 120, 5), (500, 100, 5), (310, 103, 3), (100, 100, 1)]
)
def test_importances_within_the_limit(rows, n_rows, n_repeats, monkeypatch):
    """There are fewer rows first, then fewer shuffles, and never more multiplications than the limit."""
    X, y = iris()
    monkeypatch.setattr(importances, "MOST_WORK", rows * WORK)
    found = evidence_of(fitted(MLPClassifier(**SETTINGS), X, y), X, y).importances
    assert (found.n_rows, found.n_repeats) == (n_rows, n_repeats)


def test_gradients_are_those_of_the_callback():
    """One more measurement with the weights at the end of training gives what the callback measured then."""
    X, y = iris()
    flow = gradient_flow()
    model = fitted(MLPClassifier(callbacks=flow, **SETTINGS), X, y)
    evidence = evidence_of(model, X, y)
    assert evidence.recorded_flow is flow
    assert_allclose(evidence.flow.gradient_norms[-1], flow.gradient_norms[-1])
    assert_array_equal(evidence.flow.dead[-1], flow.dead[-1])


def test_losses_of_training_and_of_these_rows():
    X, y = iris()
    for settings in ({}, {"solver": "lbfgs"}, {"batch_size": 10, "learning_rate_init": 0.001}):
        model = fitted(MLPClassifier(**{**SETTINGS, "max_iter": 500, "tol": 1e-6, "alpha": 0.1, **settings}), X, y)
        training, here = evidence_of(model, X, y).losses
        assert_allclose(here, log_loss(y, model.predict_proba(X)))
        # the training loss is the mean over the last epoch, in which the weights have changed a little
        assert_allclose(training, here, rtol=0.1)


def test_losses_with_weights_of_classes():
    """The weights of classes count in both, so that a model that does not overfit is not said to."""
    X, y = iris()
    settings = {**SETTINGS, "max_iter": 500, "tol": 1e-6, "alpha": 0.1, "class_weight": {0: 1, 1: 20, 2: 1}}
    model = fitted(MLPClassifier(**settings), X, y)
    training, here = evidence_of(model, X, y).losses
    assert_allclose(here, log_loss(y, model.predict_proba(X), sample_weight=np.where(y == 1, 20, 1)))
    assert_allclose(training, here, rtol=0.1)


def test_several_runs():
    """The curve holds all runs, and the best epoch is one of the last run; rows of an epoch are not known then."""
    X, y = iris()
    model = MLPClassifier(warm_start=True, early_stopping=True, **SETTINGS)
    for _ in range(2):
        fitted(model, X, y)
    evidence = evidence_of(model, X, y)
    assert len(evidence.loss_curve) > model.n_iter_
    assert (
        evidence.loss_curve[evidence.best_epoch - 1] == model.loss_curve_[-model.n_iter_ :][model.best_iteration_ - 1]
    )
    assert evidence.n_trained is None
    model = MLPClassifier(**SETTINGS)
    for rows in np.array_split(np.random.default_rng(0).permutation(150), 5):
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    evidence = evidence_of(model, X, y)
    assert (evidence.n_trained, evidence.best_epoch, len(evidence.loss_curve)) == (None, None, 5)
    assert evidence_of(fitted(MLPClassifier(**SETTINGS), X, y), X, y).n_trained == 150


def test_columns_of_sparse_matrices():
    X = np.array([[1.0, 0, 5, 0], [1, 0, 0, 2], [1, 0, 7, 0]])
    dense, as_csr = (
        SimpleNamespace(core=SimpleNamespace(X=made), subject=SimpleNamespace(n=3, model_names=list("abcd")))
        for made in (X, sparse.csr_array(X))
    )
    for one in (dense, as_csr):
        mean, std = Evidence.column_moments.func(one)
        assert_allclose(mean, X.mean(axis=0))
        assert_allclose(std, X.std(axis=0))
        assert Evidence.constant_columns.func(one) == ["a", "b"]
