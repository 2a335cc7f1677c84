"""Every rule is triggered by a model that is ill in this way, and none by healthy ones."""

import re
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import report_cases
from fastbp import MLPClassifier, MLPRegressor
from fastbp.inspection import Finding, report
from fastbp.inspection.reports.evidence import Evidence
from fastbp.inspection.reports.findings import PROBLEM, RULES
from fastbp.inspection.reports.rules.training import constant_loss
from fastbp.inspection.reports.subject import subject_of
from report_cases import SETTINGS, diabetes, fitted, iris


def classifier(X=None, y=None, X_fit=None, y_fit=None, **settings):
    """(fitted classifier, X, y): iris, but for what is given."""
    data = iris()
    X, y = data[0] if X is None else X, data[1] if y is None else y
    X_fit, y_fit = X if X_fit is None else X_fit, y if y_fit is None else y_fit
    return fitted(MLPClassifier(**{**SETTINGS, **settings}), X_fit, y_fit), X, y


def regressor(X=None, y=None, **settings):
    """(fitted regressor, X, y): the diabetes data, but for what is given."""
    data = diabetes()
    X, y = data[0] if X is None else X, data[1] if y is None else y
    return fitted(MLPRegressor(**{**SETTINGS, **settings}), X, y), X, y


def with_weights(case, change):
    """A case whose network has weights that nobody would train."""
    model, X, y = case
    change(model.coefs_)
    return model, X, y


def not_finite():
    def change(coefs):
        coefs[1][:] = np.inf

    return with_weights(regressor(), change)


def not_finite_classes():
    def change(coefs):
        coefs[1][:] = np.nan

    return with_weights(classifier(), change)


def saturated():
    def change(coefs):
        coefs[0] *= 100

    return with_weights(classifier(activation="tanh"), change)


def dead():
    model, X, y = classifier()
    model.intercepts_[0][:3] = -1000
    return model, X, y


def random_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20))
    y = rng.integers(0, 2, 60)
    return classifier(X[30:], y[30:], X[:30], y[:30], hidden_layer_sizes=(50,), max_iter=300)


def random_labels_validated():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20))
    y = rng.integers(0, 2, 200)
    model = MLPClassifier((50,), learning_rate_init=0.01, max_iter=100, scoring="loss", random_state=0)
    return fitted(model, X[:100], y[:100], X_val=X[100:], y_val=y[100:]), X[100:], y[100:]


def rare_class():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    y = (np.arange(400) % 25 == 0).astype(int)
    X[:, 0] += 3 * y
    return classifier(X, y)


def never_predicted():
    model, X, y = rare_class()
    model.intercepts_[-1] -= 100
    return model, X, y


def never_right():
    """Two classes, each taken for the other."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = (X[:, 0] > 0).astype(int)
    model, _, _ = classifier(X, y)
    return model, X, 1 - y


def overconfident():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 20))
    y = (X[:, 0] + 2 * rng.normal(size=600) > 0).astype(int)
    return classifier(X[100:], y[100:], X[:100], y[:100], hidden_layer_sizes=(50,), max_iter=300)


def narrow_intervals():
    X, y = diabetes()
    model = fitted(
        MLPRegressor("gaussian", **{**SETTINGS, "hidden_layer_sizes": (50,), "max_iter": 500}), X[:100], y[:100]
    )
    return model, X[100:], y[100:]


def constant_columns():
    X, y = iris()
    return classifier(np.column_stack([X, np.ones(len(X))]), y)


ILL = {
    "not-finite": not_finite,
    "diverged": lambda: regressor(
        y=30 * diabetes()[1], solver="sgd", learning_rate_init=0.05, hidden_layer_sizes=(50, 50), momentum=0
    ),
    "exploding-gradient": lambda: regressor(y=1e7 * diabetes()[1], max_iter=2),
    "vanishing-gradient": partial(classifier, hidden_layer_sizes=[8] * 10, activation="logistic"),
    "no-better-than-constant": partial(classifier, hidden_layer_sizes=[8] * 10, activation="logistic"),
    "unscaled-input": lambda: classifier(1000 * iris()[0] + 3000),
    "unscaled-target": lambda: regressor(y=100 * diabetes()[1] + 500),
    "learning-rate-too-large": partial(classifier, learning_rate_init=0.3, batch_size=10, tol=0),
    "learning-rate-too-small": partial(classifier, learning_rate_init=1e-5),
    "not-converged": partial(classifier, max_iter=5),
    "overfitting": random_labels,
    "validation-loss-rises": random_labels_validated,
    "dead-units": dead,
    "saturated-units": saturated,
    "class-never-predicted": never_predicted,
    "class-imbalance": rare_class,
    "miscalibrated": overconfident,
    "intervals-off": narrow_intervals,
    "few-rows": partial(classifier, hidden_layer_sizes=(200, 200), max_iter=3),
    "constant-columns": constant_columns,
}


def test_every_rule_has_a_case():
    assert ILL.keys() == RULES.keys()


@pytest.mark.parametrize("code", RULES)
def test_what_is_ill_is_found(code):
    model, X, y = ILL[code]()
    found = {one.code: one for one in report(model, X, y, n_repeats=0).warnings}
    assert code in found
    finding = found[code]
    assert finding.severity == RULES[code][0]
    assert finding.title
    assert finding.message.endswith(".")
    assert finding.advice


def test_probabilities_that_are_not_finite():
    model, X, y = not_finite_classes()
    found = report(model, X, y)
    assert found.warnings[0].code == "not-finite"
    assert np.isnan(found.score)
    assert "Predictions" in " ".join(found.left_out)


@pytest.mark.parametrize("name", ["healthy_classifier", "healthy_regressor", "tabular_classifier"])
def test_what_is_healthy_is_not_warned_of(name):
    assert report(*getattr(report_cases, name)()).warnings == []


def test_scaling_within_the_network_or_before_it_is_enough():
    X, y = iris()
    for model in (
        MLPClassifier(normalization="batch", **SETTINGS),
        make_pipeline(StandardScaler(), MLPClassifier(**SETTINGS)),
    ):
        model = fitted(model, 1000 * X, y)
        codes = [one.code for one in report(model, 1000 * X, y, n_repeats=0).warnings]
        # batch normalization stands behind the first layer, which reads large numbers
        assert ("unscaled-input" in codes) == (type(model) is MLPClassifier)


def test_schedules_that_end_are_not_told_to_go_on():
    case = classifier(max_iter=20, learning_rate="one_cycle", n_iter_no_change=np.inf)
    assert "not-converged" not in [one.code for one in report(*case, n_repeats=0).warnings]


def codes_of(model, X, y):
    return [one.code for one in report(model, X, y, n_repeats=0).warnings]


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ({}, None),
        ({"ema_decay": 0.999}, None),
        ({"swa_start": 0.001, "learning_rate_init": 0.003, "batch_size": 5, "max_iter": 10}, None),
        ({"mixup_alpha": 1.0}, None),
        ({"alpha": 10}, 100.0),
        ({"alpha": 15, "max_iter": 100}, 2.0),
        ({"alpha": 1}, 0.01),
    ],
)
def test_on_training_rows_nothing_overfits(settings, weight):
    """Also where the loss of training is one of other weights, of mixtures, or has another share of the penalty."""
    X, y = iris()
    model = MLPClassifier(**{**SETTINGS, **settings})
    fitted(model, X, y, sample_weight=None if weight is None else np.full(len(y), weight))
    assert "overfitting" not in codes_of(model, X, y)


def test_a_penalty_larger_than_the_loss_is_not_taken_off():
    X, y = iris()
    model = fitted(MLPClassifier(alpha=10, **SETTINGS), X, y, sample_weight=np.full(len(y), 100.0))
    evidence = Evidence(subject_of(model, X, y), n_repeats=0, random_state=0)
    assert evidence.penalty_in_training() > evidence.recorded_loss > 0
    assert evidence.losses is None


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_overfitting_in_any_unit_of_the_target(unit):
    """A TransformedTargetRegressor has its losses in the transformed unit, whatever that of y is."""
    X, y = diabetes()
    random = np.random.default_rng(0).normal(size=len(y))
    settings = {**SETTINGS, "hidden_layer_sizes": (50,), "max_iter": 200}
    for targets, is_found in ((random, True), (y, False)):
        model = TransformedTargetRegressor(MLPRegressor(**settings), transformer=StandardScaler())
        rows = slice(0, 100) if is_found else slice(None)
        fitted(model, X[rows], unit * targets[rows])
        rows = slice(100, None) if is_found else slice(None)
        assert ("overfitting" in codes_of(model, X[rows], unit * targets[rows])) == is_found
    evidence = Evidence(subject_of(model, X, np.array(unit * y)), n_repeats=0, random_state=0)
    assert_allclose(constant_loss(evidence), 0.5)


def test_the_constant_loss_is_that_of_each_column():
    X, y = diabetes()
    y = np.column_stack([y, 10 + 3 * y])  # both standardized: variances of 1 and 9
    model = fitted(MLPRegressor(**SETTINGS), X, y)
    assert_allclose(constant_loss(Evidence(subject_of(model, X, y), n_repeats=0, random_state=0)), (1 + 9) / 4)


def test_mixtures_make_the_loss_jump_too():
    rate = {"learning_rate_init": 0.3, "batch_size": 10, "tol": 0}
    assert "learning-rate-too-large" in codes_of(*classifier(**rate))
    assert "learning-rate-too-large" not in codes_of(*classifier(mixup_alpha=0.4, **rate))


def test_iterations_of_lbfgs():
    """It has no epochs, and does not follow a schedule or early stopping."""
    case = classifier(solver="lbfgs", max_iter=3)
    (finding,) = (one for one in report(*case, n_repeats=0).warnings if one.code == "not-converged")
    assert finding.message.startswith("All 3 iterations were used")
    assert not re.search("learning_rate|early_stopping", " ".join(finding.advice))


@pytest.mark.parametrize(("code", "make"), [("overfitting", random_labels), ("no-better-than-constant", never_right)])
def test_few_rows_or_a_single_class_tell_nothing(code, make):
    model, X, y = make()
    assert code in codes_of(model, X, y)
    assert code not in codes_of(model, X[:29], y[:29])
    only = np.tile(X[y == 1], (5, 1))[:60]
    assert code not in codes_of(model, only, np.ones(len(only), int))


def test_a_constant_target_tells_nothing():
    X, y = diabetes()
    model = fitted(MLPRegressor(**SETTINGS), X, y)
    assert not {"overfitting", "no-better-than-constant"} & set(codes_of(model, X, np.full(len(y), 0.5)))


def test_problems_come_first():
    severities = [one.severity for one in report(*ILL["vanishing-gradient"](), n_repeats=0).warnings]
    assert severities == sorted(severities, key=lambda one: one != PROBLEM)
    assert len(set(severities)) == 2


def test_advice_names_parameters_that_exist():
    """Every ``name=value`` that is advised is accepted by an estimator."""
    advice = " ".join(
        line for make in ILL.values() for one in report(*make(), n_repeats=0).warnings for line in one.advice
    )
    settings = set(re.findall(r"(\w+)=('\w+'|True|[\d.]+)", advice))
    assert len(settings) > 8
    for name, value in settings:
        X, y = iris()
        kind = MLPRegressor if name == "loss" else MLPClassifier
        model = kind(**{**SETTINGS, "hidden_layer_sizes": (8, 8), "max_iter": 2, name: eval(value)})
        fitted(model, X, y + 1)  # which 'gamma' can learn too


def test_a_finding_as_text():
    finding = Finding("code", "Title", "What was seen.", ("try this", "or this"), "hint")
    assert str(finding) == "hint: Title [code]\n  What was seen.\n  - try this\n  - or this"


def test_messages_have_the_numbers():
    model, X, y = ILL["overfitting"]()
    (finding,) = (one for one in report(model, X, y, n_repeats=0).warnings if one.code == "overfitting")
    training, here = (float(text) for text in re.findall(r"\d+\.\d+", finding.message))
    network = model.network_
    assert_allclose(here, -np.log(model.predict_proba(X)[np.arange(len(y)), y]).mean(), rtol=0.01)  # three digits
    assert_allclose(training, model.loss_ - network.penalty() / 30, rtol=0.01)
