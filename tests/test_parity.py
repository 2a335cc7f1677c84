"""Training, weight by weight, beside scikit-learn's estimators.

Both compute in float64 and draw the same random numbers, so the results may
differ by rounding only: another order of summation, another exp, a fused
multiply-add.  RTOL is far above what a hundred steps make of 1e-16, and far
below what any difference of formula leaves behind.  A weight or a score may by
chance lie next to zero, where a relative error means nothing; ATOL, a billionth
of a typical weight, covers that.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import neural_network as reference
from sklearn.base import is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import fastbp
from parity_cases import (
    ACTIVATIONS,
    FEATURES,
    OPTIMIZERS,
    TARGETS,
    dense_X,
    estimator,
    pair,
    sample_weight,
    sparse_X,
    targets,
)
from sklearn_versions import compares_with_reference

RTOL, ATOL = 1e-6, 1e-9

# Twenty epochs are a number chosen for comparison, not for convergence.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    compares_with_reference,
]

# Neither criterion of stopping is met before epoch 20.
RUN_ON = dict(tol=0.0, n_iter_no_change=20, max_iter=20)
SMALL = dict(hidden_layer_sizes=(7, 5), random_state=5, alpha=1e-3)


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    """A second one is of no use for matrices of this size, but scikit-learn's L-BFGS waits for it at every product."""
    with threadpool_limits(1, user_api="blas"):
        yield


def assert_same_number(ours, theirs, rtol, atol):
    """Equal within the tolerances, None where the other is None."""
    if theirs is None:
        assert ours is None
    else:
        assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def assert_same_predictions(ours, theirs, X, rtol=RTOL, atol=ATOL):
    if is_classifier(theirs):
        assert_array_equal(ours.predict(X), theirs.predict(X))
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=rtol, atol=atol)
    else:
        assert_allclose(ours.predict(X), theirs.predict(X), rtol=rtol, atol=atol)


def assert_same_model(ours, theirs, X, rtol=RTOL, atol=ATOL):
    """Weights, counters, curves and predictions of two stochastic fits agree."""
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
    assert len(ours.coefs_) == len(theirs.coefs_)
    for name in ("coefs_", "intercepts_"):
        for ours_layer, theirs_layer in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert_allclose(ours_layer, theirs_layer, rtol=rtol, atol=atol, err_msg=name)
    for name in ("loss_curve_", "loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert_same_number(getattr(ours, name), getattr(theirs, name), rtol, atol)
    if theirs.solver == "sgd":
        assert ours._optimizer.learning_rate == pytest.approx(theirs._optimizer.learning_rate, rel=1e-12)
    assert_same_predictions(ours, theirs, X, rtol, atol)


def fit_both(target, X, y, sample_weight=None, **params):
    ours, theirs = pair(target, **params)
    theirs.fit(X, y, sample_weight)
    if scores_are_stuck(theirs):
        with pytest.warns(RuntimeWarning, match="the loss on these rows decided"):
            ours.fit(X, y, sample_weight)
        pytest.skip("all validation scores are alike when patience runs out: fastbp looks at the loss, by decision")
    return ours.fit(X, y, sample_weight), theirs


def scores_are_stuck(model):
    """Whether all validation scores were alike until patience ran out, or to the end of more than ten epochs."""
    scores = getattr(model, "validation_scores_", None)
    if not scores:
        return False
    first = scores[: model.n_iter_no_change + 2]
    long_enough = len(first) == model.n_iter_no_change + 2 or len(first) > 10
    return long_enough and len(set(first)) == 1 and first[0] < 1


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_twenty_epochs(activation, optimizer, target, feature):
    X = sparse_X(target) if feature == "sparse" else dense_X()
    weights = sample_weight() if feature == "sample_weight" else None
    params = RUN_ON | dict(batch_size=16) | SMALL | OPTIMIZERS[optimizer] | FEATURES[feature]
    ours, theirs = fit_both(target, X, targets()[target], weights, activation=activation, **params)
    if optimizer == "adaptive":
        # 20 epochs hold six triggers: the case must not pass without a drop.
        assert theirs._optimizer.learning_rate < 1e-4
    assert theirs.n_iter_ == 20
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("feature", ["plain", "sample_weight", "sparse"])
def test_lbfgs(activation, target, feature):
    # Every step is built from the differences of earlier gradients, so rounding
    # grows faster than in the stochastic solvers: a relative noise of 1e-14 on
    # scikit-learn's own gradients moves its loss by 4e-11 and its predictions
    # by 1e-9 within 20 iterations.  Hence loss and predictions, not weights,
    # and after few iterations, far from the flat bottom where it would show.
    X = sparse_X(target) if feature == "sparse" else dense_X()
    weights = sample_weight() if feature == "sample_weight" else None
    ours, theirs = fit_both(
        target,
        X,
        targets()[target],
        weights,
        solver="lbfgs",
        activation=activation,
        **SMALL | dict(max_iter=20, alpha=0.1),
    )
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    assert_same_predictions(ours, theirs, X, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_loss_stops_at_the_same_epoch(solver, target):
    X, y = dense_X(), targets()[target]
    ours, theirs = fit_both(
        target,
        X,
        y,
        **SMALL,
        solver=solver,
        learning_rate_init=0.02,
        tol=1e-3,
        n_iter_no_change=4,
        max_iter=1000,
    )
    assert 5 < theirs.n_iter_ < 1000
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_adaptive_rate_drops_until_training_stops(target, early_stopping):
    X, y = dense_X(), targets()[target]
    ours, theirs = fit_both(
        target,
        X,
        y,
        **SMALL,
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.05,
        tol=1e-3,
        n_iter_no_change=2,
        max_iter=1000,
        early_stopping=early_stopping,
        batch_size=20,
    )
    # The rate falls by fives from 0.05 to below 1e-6 before training ends.
    assert theirs._optimizer.learning_rate <= 1e-6
    assert 7 * 3 <= theirs.n_iter_ < 1000
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_early_stopping_restores_the_same_weights(target, weighted):
    X, y = dense_X(), targets()[target]
    # a row of weight zero is not held out, where scikit-learn's may be
    weights = np.maximum(sample_weight(), 0.05) if weighted else None
    ours, theirs = fit_both(
        target,
        X,
        y,
        weights,
        **SMALL,
        activation="tanh",
        learning_rate_init=0.02,
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=5,
        max_iter=1000,
        tol=0.0,
    )
    # The best epoch is an earlier one, else there would be nothing to restore.
    assert np.argmax(theirs.validation_scores_) < theirs.n_iter_ - 1 < 999
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("target", TARGETS)
def test_warm_start_twice(target, solver):
    X, y = dense_X(), targets()[target]
    models = pair(
        target,
        **RUN_ON | dict(max_iter=7),
        **SMALL,
        solver=solver,
        warm_start=True,
        learning_rate_init=0.01,
        learning_rate="invscaling",
        power_t=0.2,
    )
    for _ in range(3):
        ours, theirs = (model.fit(X, y) for model in models)
        assert_same_model(ours, theirs, X)
    assert len(theirs.loss_curve_) == 21


@pytest.mark.parametrize("target", TARGETS)
def test_warm_start_lbfgs(target):
    # Tolerances as in test_lbfgs.
    X, y = dense_X(), targets()[target]
    models = pair(target, **SMALL, solver="lbfgs", max_iter=6, activation="tanh", warm_start=True)
    losses = []
    for _ in range(3):
        ours, theirs = (model.fit(X, y) for model in models)
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
        losses.append(theirs.loss_)
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("optimizer", ["nesterov", "invscaling", "adaptive", "adam"])
@pytest.mark.parametrize("target", TARGETS)
def test_partial_fit_sequence(target, optimizer):
    # A generator object continues from call to call in scikit-learn too (an integer seed does not). Chunks of unequal
    # size, one of them weighted.
    X, y = dense_X(), targets()[target]
    params = RUN_ON | SMALL | dict(batch_size=8) | OPTIMIZERS[optimizer]
    models = [
        estimator(module, target, **params | dict(random_state=np.random.RandomState(3)))
        for module in (fastbp, reference)
    ]
    first = {"classes": np.unique(y)} if target in ("binary", "multiclass") else {}
    if target == "multilabel":
        first = {"classes": np.arange(y.shape[1])}
    for _ in range(4):
        for rows in (slice(0, 30), slice(30, 45), slice(45, 70)):
            weights = sample_weight()[rows] if rows.start == 30 else None
            for model in models:
                model.partial_fit(X[rows], y[rows], sample_weight=weights, **first)
            first = {}
            assert_same_model(*models, X)
    assert models[1].t_ == 4 * 70


@pytest.mark.parametrize("target", ["multiclass", "multioutput"])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_partial_fit_after_fit(target, optimizer):
    # fit's optimizer, moments included, is the one partial_fit goes on with.
    X, y = dense_X(), targets()[target]
    params = RUN_ON | SMALL | OPTIMIZERS[optimizer]
    models = [
        estimator(module, target, **params | dict(random_state=np.random.RandomState(8)))
        for module in (fastbp, reference)
    ]
    for model in models:
        model.fit(X, y)
        for _ in range(3):
            model.partial_fit(X, y)
    assert_same_model(*models, X)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("target", TARGETS)
def test_float32(target, optimizer):
    # scikit-learn lets float64 into parts of its float32 training, fastbp does
    # not.  A hundred steps of 1e-7 rounding each stay below a thousandth; ATOL
    # is that of weights of order one.
    X, y = dense_X().astype(np.float32), targets()[target]
    if target in ("regression", "multioutput", "poisson"):
        y = y.astype(np.float32)
    params = RUN_ON | SMALL | dict(batch_size=14, activation="tanh") | OPTIMIZERS[optimizer]
    ours, theirs = fit_both(target, X, y, **params)
    assert all(coef.dtype == np.float32 for coef in ours.coefs_ + ours.intercepts_)
    for name in ("coefs_", "intercepts_"):
        for ours_layer, theirs_layer in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert_allclose(ours_layer, theirs_layer, rtol=1e-3, atol=1e-3)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-3)
    if is_classifier(theirs):
        assert ours.predict_proba(X).dtype == np.float32
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)
    else:
        assert ours.predict(X).dtype == np.float32
        assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "params",
    [
        dict(shuffle=False),
        dict(shuffle=False, early_stopping=True),
        dict(hidden_layer_sizes=()),
        dict(hidden_layer_sizes=9),
        dict(hidden_layer_sizes=[4, 3]),
        dict(hidden_layer_sizes=np.array([4, 3])),
        dict(hidden_layer_sizes=(1,)),
        dict(hidden_layer_sizes=(6,) * 8),
        dict(hidden_layer_sizes=(40, 3, 17)),
        dict(alpha=0.0),
        dict(alpha=5.0),
        dict(batch_size="auto"),
        dict(batch_size=1),
        dict(batch_size=70),
        dict(momentum=1.0, solver="sgd", learning_rate_init=1e-3),
        dict(solver="sgd", learning_rate="invscaling", power_t=0.0),
        dict(beta_1=0.0, beta_2=0.0, learning_rate_init=1e-3, epsilon=0.1),
        dict(max_iter=1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("target", ["multiclass", "regression"])
def test_parameter(target, params):
    X, y = dense_X(), targets()[target]
    ours, theirs = fit_both(target, X, y, **RUN_ON | SMALL | dict(batch_size=16, learning_rate_init=0.01) | params)
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_without_hidden_layers_the_activation_decides_the_initial_weights(target, activation):
    X, y = dense_X(), targets()[target]
    ours, theirs = fit_both(target, X, y, **RUN_ON | SMALL | dict(hidden_layer_sizes=(), activation=activation))
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", [str, object, bool, np.int8, np.uint64])
def test_labels_of_any_type(kind, early_stopping):
    X, y = dense_X(), targets()["binary" if kind is bool else "multiclass"]
    y = np.array(["cat", "ant", "bee"], dtype=kind)[y] if kind in (str, object) else y.astype(kind)
    ours, theirs = fit_both("multiclass", X, y, **RUN_ON | SMALL, early_stopping=early_stopping)
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    assert_array_equal(ours.classes_, theirs.classes_)
    assert_same_model(ours, theirs, X)


def test_digits_with_two_hidden_layers():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    ours, theirs = fit_both("multiclass", X_train, y_train, hidden_layer_sizes=(64, 32), random_state=0, max_iter=40)
    assert theirs.score(X_test, y_test) > 0.95
    assert ours.score(X_test, y_test) == theirs.score(X_test, y_test)
    assert_array_equal(ours.predict(X_test), theirs.predict(X_test))


def test_a_wrong_formula_would_be_seen():
    # The tolerances are tight enough: the effect of 0.05 % more penalty after twenty epochs is well above them.
    X, y = dense_X(), targets()["multiclass"]
    params = RUN_ON | SMALL | dict(alpha=0.1)
    ours = fastbp.MLPClassifier(**params).fit(X, y)
    theirs = reference.MLPClassifier(**params | dict(alpha=0.10005)).fit(X, y)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_model(ours, theirs, X)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(20\)"):
        ours.fit(X, y)


# Random configurations: parameters meet that no table above puts together

CHOICES = dict(
    hidden_layer_sizes=[(), (3,), (4, 3), 5],
    activation=ACTIVATIONS,
    solver=["sgd", "sgd", "adam", "adam", "lbfgs"],
    alpha=[0.0, 1e-4, 0.5],
    batch_size=["auto", 7, 16, 70],
    learning_rate=["constant", "invscaling", "adaptive"],
    learning_rate_init=[1e-3, 1e-2, 0.05],
    power_t=[0.1, 0.5, 1.0],
    max_iter=[1, 3, 12],
    shuffle=[True, True, False],
    tol=[0.0, 1e-4, 1e-2],
    momentum=[0.0, 0.5, 0.9],
    nesterovs_momentum=[True, False],
    early_stopping=[False, False, True],
    validation_fraction=[0.1, 0.3],
    beta_1=[0.9, 0.5],
    beta_2=[0.999, 0.9],
    epsilon=[1e-8, 1e-2],
    n_iter_no_change=[1, 3, 10, np.inf],
    max_fun=[15000, 5],
)
OURS_ALONE = {"history_", "best_iteration_", "validation_loss_curve_"}
for name in ("MLPClassifier", "MLPRegressor"):
    OURS_ALONE |= {*getattr(fastbp, name)().get_params()} - {*getattr(reference, name)().get_params()}


def random_configuration(seed):
    """(target, feature, how to train, parameters), without what differs by decision."""
    rng = np.random.default_rng(seed)
    params = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    target, feature = TARGETS[rng.integers(len(TARGETS))], ["plain", "sample_weight", "sparse"][rng.integers(3)]
    how = ["fit", "fit twice", "partial_fit"][rng.integers(3)]
    if how == "partial_fit":
        params["early_stopping"] = False
        params["solver"] = "adam" if params["solver"] == "lbfgs" else params["solver"]
    if feature == "sample_weight":
        params["early_stopping"] = False  # rows of weight zero take no part in our split
    return target, feature, how, params | dict(random_state=seed)


@pytest.mark.filterwarnings("ignore:The score of the held-out rows:RuntimeWarning", "ignore:Got `batch_size`")
@pytest.mark.parametrize("seed", range(100))
def test_random_configuration(seed):
    target, feature, how, params = random_configuration(seed)
    X, y = sparse_X(target) if feature == "sparse" else dense_X(), targets()[target]
    models = pair(target, **params)
    for model in models:
        if how == "partial_fit":
            first = {"classes": np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)} if is_classifier(model) else {}
            model.partial_fit(X, y, sample_weight() if feature == "sample_weight" else None, **first)
        for _ in range({"fit": 1, "fit twice": 2, "partial_fit": 0}[how]):
            model.fit(X, y, sample_weight() if feature == "sample_weight" else None)
    ours, theirs = models
    public = [{name for name in vars(model) if not name.startswith("_")} for model in models]
    assert public[0] - OURS_ALONE == public[1] - OURS_ALONE
    if params["solver"] == "lbfgs":  # tolerances as in test_lbfgs
        assert ours.n_iter_ == theirs.n_iter_
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-5)
        assert_same_predictions(ours, theirs, X, rtol=1e-4, atol=1e-4)
    elif params["early_stopping"] and theirs.n_iter_ > 1 and len(set(theirs.validation_scores_[:3])) == 1:
        # ours watches the loss instead, and may stop at another epoch
        assert ours.validation_scores_[:2] == pytest.approx(theirs.validation_scores_[:2], rel=1e-9)
    else:
        assert_same_model(ours, theirs, X)
        assert ours._no_improvement_count == theirs._no_improvement_count
