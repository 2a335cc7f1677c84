"""class_weight, label_smoothing and the focal loss of MLPClassifier. What the losses compute is in
``kernels/test_losses.py``."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import reference
from case_names import case_name
from fastbp import MLPClassifier
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.losses import BinaryFocal, Focal, LogLoss
from loss_functions import log_loss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)  # classes of 84, 88 and 28 rows, about
TARGETS = {
    "binary": np.array(["no", "yes"])[(LABELS > 0).astype(int)],
    "multiclass": np.array(["a", "b", "c"])[LABELS],
    "multilabel": np.column_stack([LABELS > 0, X[:, 2] > 0, LABELS == 1]).astype(int),
}
OPTIONS = {
    "label_smoothing": dict(label_smoothing=0.2),
    "smoothed object": dict(loss=LogLoss(label_smoothing=0.2)),
    "focal": dict(loss="focal"),
    "focal object": dict(loss=Focal(gamma=1.0)),
    "class_weight": dict(class_weight={"a": 3.0, "no": 2.0}),
    "balanced": dict(class_weight="balanced"),
}
every_target = pytest.mark.parametrize("target", TARGETS)
ROW_WEIGHTS = ("class_weight", "balanced")
COMBINATIONS = [(t, o) for t in TARGETS for o in OPTIONS if t != "multilabel" or o not in ROW_WEIGHTS]
every_combination = pytest.mark.parametrize(("target", "option"), COMBINATIONS)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def model(**params):
    params = dict(hidden_layer_sizes=(8,), random_state=0, max_iter=10, learning_rate_init=0.01) | params
    if isinstance(params.get("class_weight"), dict):
        params["class_weight"] = dict(params["class_weight"])
    return MLPClassifier(**params)


def options(target, option):
    """The parameters, with class weights for labels that the target has."""
    params = dict(OPTIONS[option])
    if option == "class_weight":
        label = {"binary": "no", "multiclass": "a"}[target]
        params["class_weight"] = {label: params["class_weight"][label]}
    return params


@every_combination
def test_options_have_an_effect(target, option):
    y = TARGETS[target]
    with_it, without = model(**options(target, option)).fit(X, y), model().fit(X, y)
    assert not np.allclose(with_it.coefs_[0], without.coefs_[0], atol=1e-4)


@every_combination
def test_copies_partial_fit_and_warm_start(target, option):
    params, y = options(target, option), TARGETS[target]
    fitted = model(**params, shuffle=False, tol=0, max_iter=3).fit(X, y)
    for other in (pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(X, y)):
        assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))
    if option != "balanced":
        parts = model(**params, shuffle=False)
        for _ in range(3):
            parts.partial_fit(X, y, classes=np.arange(3) if target == "multilabel" else np.unique(y))
        assert_array_equal(parts.predict_proba(X), fitted.predict_proba(X))
    warm = model(**params, warm_start=True, max_iter=1).fit(X, y)
    before = warm.loss_
    assert warm.set_params(max_iter=20).fit(X, y).loss_ < before


@every_combination
def test_early_stopping_and_threads(target, option):
    params, y = options(target, option), TARGETS[target]
    one, two = (model(**params, early_stopping=True, batch_size=90, n_threads=n).fit(X, y) for n in (1, 2))
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert len(one.validation_scores_) == one.n_iter_


@every_combination
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inspection_and_derivatives(target, option, dtype):
    params, y = options(target, option), TARGETS[target]
    fitted = model(**params, activation="tanh").fit(X.astype(dtype), y)
    assert gradient_check(fitted, X[:20], y[:20], np.linspace(0.5, 1, 20)).passed
    network, targets = fitted.network_.astype(np.float64), fitted._encode(y, np.dtype(np.float64))
    trace = backprop_trace(network, X, targets)
    assert_allclose(trace.loss, network.loss_and_gradient(X, targets)[0], rtol=1e-12)
    direction = np.random.default_rng(1).normal(size=network.n_params)
    ahead, behind = network.copy(), network.copy()
    ahead.params, behind.params = network.params + 1e-6 * direction, network.params - 1e-6 * direction
    expected = (ahead.loss_and_gradient(X, targets)[1] - behind.loss_and_gradient(X, targets)[1]) / 2e-6
    # third derivatives of order 100 times 1e-12, and rounding 1e-16 / 1e-6
    assert_allclose(network.hvp(X, targets, direction), expected, rtol=1e-6, atol=1e-8)


# label smoothing


@pytest.mark.parametrize("target", ["binary", "multiclass"])
def test_label_smoothing_is_training_on_smoothed_targets(target):
    y = TARGETS[target]
    indicators = np.unique(y)[:, None] == y
    soft = reference.smoothed(indicators.T.astype(float), 0.2, len(indicators))
    smoothed = model(label_smoothing=0.2).fit(X, y)
    by_hand = model().fit(X, soft, classes=np.unique(y))
    # the same operations but for the roundings of the targets
    assert_allclose(smoothed.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9)
    assert_allclose(smoothed.loss_, by_hand.loss_, rtol=1e-9)


def test_label_smoothing_bounds_the_probabilities():
    params = dict(hidden_layer_sizes=(50,), solver="lbfgs", max_iter=1000, alpha=0)
    plain, smoothed = (model(label_smoothing=e, **params).fit(X[:30], LABELS[:30]) for e in (0, 0.3))
    assert plain.predict_proba(X[:30]).max(axis=1).min() > 0.95
    # the best probabilities are 0.8 and 0.1, 0.1
    assert_allclose(np.sort(smoothed.predict_proba(X[:30]), axis=1), [[0.1, 0.1, 0.8]] * 30, atol=0.05)


@every_target
def test_a_name_and_an_object_give_the_same_model(target):
    y = TARGETS[target]
    by_name, by_object = (model(**OPTIONS[o]).fit(X, y) for o in ("label_smoothing", "smoothed object"))
    assert_array_equal(by_name.predict_proba(X), by_object.predict_proba(X))
    by_name, by_object = (model(loss=loss).fit(X, y) for loss in ("focal", Focal(gamma=2.0)))
    assert_array_equal(by_name.predict_proba(X), by_object.predict_proba(X))


@pytest.mark.parametrize("loss", ["focal", LogLoss(), Focal(), log_loss], ids=case_name)
def test_label_smoothing_belongs_to_the_name(loss):
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 is for loss='log_loss', got loss="):
        model(loss=loss, label_smoothing=0.1).fit(X, LABELS)


@pytest.mark.parametrize("value", [-0.1, 1.0, np.nan, "much"])
def test_bad_label_smoothing(value):
    with pytest.raises(
        ValueError, match=r"The 'label_smoothing' parameter of MLPClassifier must be a float in the range"
    ):
        model(label_smoothing=value).fit(X, LABELS)


# focal loss


@every_target
def test_focal_loss_with_gamma_zero_is_the_log_loss(target):
    y = TARGETS[target]
    focal, plain = (model(loss=loss).fit(X, y) for loss in (Focal(gamma=0), "log_loss"))
    assert_allclose(focal.predict_proba(X), plain.predict_proba(X), rtol=1e-8)


def test_recorded_focal_loss():
    fitted = model(loss=Focal(gamma=1.5), solver="lbfgs", alpha=0).fit(X, LABELS)
    p = fitted.predict_proba(X)[np.arange(200), LABELS]
    assert_allclose(fitted.loss_, reference.focal(p, 1.5).mean(), rtol=1e-8)


def test_grid_search_reaches_gamma():
    search = GridSearchCV(model(loss=Focal()), {"loss__gamma": [0.0, 1.0]}, cv=2).fit(X, LABELS)
    assert search.best_estimator_.loss.gamma in (0.0, 1.0)


def test_losses_that_are_no_losses_of_a_classifier():
    with pytest.raises(ValueError, match="The 'loss' parameter of MLPClassifier"):
        model(loss=BinaryFocal()).fit(X, LABELS)
    with pytest.raises(ValueError, match="The 'loss' parameter of MLPClassifier"):
        model(loss="huber").fit(X, LABELS)


# class weights


@pytest.mark.parametrize("target", ["binary", "multiclass"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_sample_weights(target, solver, weighted):
    y = TARGETS[target]
    own = np.linspace(0.5, 1.5, 200) if weighted else None
    for class_weight in ("balanced", dict(zip(np.unique(y), (0.5, 2.0, 3.0), strict=False))):
        expected = compute_sample_weight(class_weight, y)
        by_class = model(solver=solver, class_weight=class_weight).fit(X, y, own)
        by_row = model(solver=solver).fit(X, y, expected if own is None else own * expected)
        assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.5, 2: 3.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_of_validation_rows(class_weight, weighted):
    """Rows given as X_val have them as rows that are held out do: those of the classes of y, not of y_val."""
    y, rows = LABELS, np.arange(0, 60)
    X_val, y_val = X[rows], np.where(rows < 50, 0, LABELS[rows])
    own = np.linspace(0.5, 1.5, 60) if weighted else np.ones(60)
    of_classes = compute_class_weight(class_weight, classes=np.unique(y), y=y)
    options = dict(early_stopping=True, scoring=["accuracy", "loss"], max_iter=8)
    fitted = model(class_weight=class_weight, **options).fit(
        X, y, X_val=X_val, y_val=y_val, sample_weight_val=own if weighted else None
    )
    by_row = model(**options).fit(
        X, y, of_classes[y], X_val=X_val, y_val=y_val, sample_weight_val=own * of_classes[y_val]
    )
    assert fitted.validation_scores_ == by_row.validation_scores_
    assert fitted.validation_loss_curve_ == by_row.validation_loss_curve_
    held_out = model(class_weight=class_weight, **options).fit(X, y)
    assert held_out.validation_scores_ == model(**options).fit(X, y, of_classes[y]).validation_scores_


def test_validation_rows_without_a_class_of_weight():
    message = (
        r"X_val and y_val: class_weight=\{0: 0\} gives every row a weight of zero: give a class that y has a weight"
    )
    with pytest.raises(ValueError, match=message):
        model(class_weight={0: 0}).fit(X, LABELS, X_val=X[:5], y_val=np.zeros(5, int))


def test_balanced_weights_help_a_rare_class():
    rare = LABELS == 2
    plain, balanced = (model(class_weight=w, max_iter=30).fit(X, rare).predict(X) for w in (None, "balanced"))
    assert balanced[rare].mean() > plain[rare].mean()


def test_a_class_of_weight_zero_is_not_trained():
    fitted = model(class_weight={2: 0}, max_iter=50).fit(X, LABELS)
    assert 2 in fitted.classes_
    assert not (fitted.predict(X) == 2).any()


def test_weights_of_classes_that_a_batch_has_not():
    rows = LABELS != 0
    fitted = model(class_weight={0: 2.0, 1: 1.0, 2: 3.0}).partial_fit(X[rows], LABELS[rows], classes=[0, 1, 2])
    assert_array_equal(fitted.classes_, [0, 1, 2])


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: -1.0}, r"class_weight must hold finite numbers that are not negative, got \{0: -1.0\}"),
        ({0: np.nan}, "class_weight must hold finite numbers"),
        ({0: "a"}, "class_weight must hold numbers, got 'a' for the class 0"),
        ({0: None, 1: 2.0}, "class_weight must hold numbers, got None for the class 0"),
        ({0: 0, 1: 0.0, 2: 0}, r"^class_weight=\{0: 0, 1: 0.0, 2: 0\} gives every row a weight of zero: give a class"),
        ({7: 2.0}, r"The classes, \[0, 1, 2\], are not in class_weight"),
        ([{0: 1}], r"class_weight must be a dict or 'balanced' for a y with one label for each row, got \[\{0: 1\}\]"),
        ("equal", "The 'class_weight' parameter of MLPClassifier must be"),
    ],
    ids=repr,
)
def test_bad_class_weights(class_weight, message):
    with pytest.raises(ValueError, match=message):
        model(class_weight=class_weight).fit(X, LABELS)


def test_balanced_weights_are_refused_where_not_all_rows_are_known():
    with pytest.raises(ValueError, match="class_weight='balanced' is not supported by partial_fit"):
        model(class_weight="balanced").partial_fit(X, LABELS, classes=[0, 1, 2])


def test_class_weights_of_zero_for_all_rows_that_count():
    first = (LABELS == 0).astype(float)
    message = r"^class_weight=\{0: 0\} gives every row with a sample weight above zero a weight of zero"
    with pytest.raises(ValueError, match=message):
        model(class_weight={0: 0}).fit(X, LABELS, first)
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        model(class_weight={0: 0}).fit(X, LABELS, 0 * first)
    fitted = model(class_weight={0: 0}).partial_fit(X, LABELS, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="gives every row a weight of zero"):
        fitted.partial_fit(X[LABELS == 0], LABELS[LABELS == 0])


def test_class_weights_of_multilabel_targets():
    with pytest.raises(ValueError, match=r"class_weight is for rows with one class each, and y holds indicators of"):
        model(class_weight="balanced").fit(X, TARGETS["multilabel"])
