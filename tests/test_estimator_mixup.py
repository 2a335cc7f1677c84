"""`mixup_alpha` on the estimators; the arithmetic is tested in kernels/test_mixup.py."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import reference
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.losses import Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
COLUMNS = np.tanh(X @ RNG.normal(size=(4, 2)))
LABELS = np.digitize(X[:, 0], [-0.3, 0.3])
PROBABILITIES = np.exp(X[:, :3]) / np.exp(X[:, :3]).sum(axis=1, keepdims=True)
SMALL = dict(hidden_layer_sizes=(9,), max_iter=4, batch_size=16, random_state=0, learning_rate_init=0.01, tol=0)
TARGETS = {MLPRegressor: COLUMNS, MLPClassifier: LABELS}
both_estimators = pytest.mark.parametrize("Estimator", TARGETS)
#: every form of targets: (class, y, parameters)
FORMS = {
    "classes": (MLPClassifier, LABELS, {}),
    "two classes": (MLPClassifier, LABELS > 0, {}),
    "labels": (MLPClassifier, np.column_stack([LABELS > 0, LABELS > 1]).astype(int), {}),
    "probabilities": (MLPClassifier, PROBABILITIES, {}),
    "columns of classes": (MLPClassifier, np.column_stack([LABELS, LABELS[::-1]]), {}),
    "focal": (MLPClassifier, LABELS, dict(loss="focal")),
    "smoothed": (MLPClassifier, LABELS, dict(label_smoothing=0.1)),
    "class weights": (MLPClassifier, LABELS, dict(class_weight={0: 3, 1: 1, 2: 2})),
    "numbers": (MLPRegressor, COLUMNS, {}),
    "poisson": (MLPRegressor, np.abs(COLUMNS), dict(loss="poisson")),
    "gamma": (MLPRegressor, np.abs(COLUMNS) + 0.1, dict(loss="gamma")),
    "tweedie": (MLPRegressor, np.abs(COLUMNS), dict(loss="tweedie")),
    "huber": (MLPRegressor, COLUMNS, dict(loss="huber")),
    "median": (MLPRegressor, COLUMNS, dict(loss=Quantile(0.5))),
    "absolute_error": (MLPRegressor, COLUMNS, dict(loss="absolute_error")),
}


def make(Estimator, **params):
    return Estimator(**SMALL | dict(mixup_alpha=0.4) | params)


def assert_same_model(one, other):
    assert_array_equal(one.network_.params, other.network_.params)
    assert one.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, dict(shuffle=False), dict(early_stopping=True)], ids=repr)
def test_every_form_of_targets(form, options):
    Estimator, y, params = FORMS[form]
    model, plain = (make(Estimator, mixup_alpha=alpha, **params, **options).fit(X, y) for alpha in (0.4, 0.0))
    assert np.isfinite(model.loss_curve_).all()
    assert (model.network_.params != plain.network_.params).any()
    # everything but training sees rows as they are
    assert gradient_check(model, X, y).passed
    for mine, others in zip(plain.coefs_ + plain.intercepts_, model.coefs_ + model.intercepts_, strict=True):
        mine[...] = others
    assert_array_equal(plain.predict(X), model.predict(X))
    assert plain.score(X, y) == model.score(X, y)
    assert_array_equal(backprop_trace(plain, X, y).gradient, backprop_trace(model, X, y).gradient)


@both_estimators
def test_the_recorded_loss_is_that_of_mixed_rows(Estimator):
    y, params = TARGETS[Estimator], dict(batch_size=60, max_iter=1, shuffle=False, learning_rate_init=1e-12)
    model = make(Estimator, **params).fit(X, y)
    share, partner = reference.mixup(model._optimizer.seed, 1, 60, 0.4)
    targets = y if Estimator is MLPRegressor else np.eye(3)[y]
    mixed = [share * v + (1 - share) * v[partner] for v in (X, targets)]
    expected = model.network_.loss_and_gradient(*mixed)[0] / (2 if Estimator is MLPRegressor else 1)
    assert_allclose(model.loss_, expected, rtol=1e-3)  # the penalty is divided by 2 here too


def test_the_validation_set_is_not_mixed():
    model = make(MLPRegressor, scoring="loss", max_iter=1).fit(X, COLUMNS, X_val=X, y_val=COLUMNS)
    expected = ((model.predict(X) - COLUMNS) ** 2).mean() / 2
    assert_allclose(model.validation_loss_curve_[-1], expected, rtol=1e-12)


@both_estimators
def test_off_is_the_model_without(Estimator):
    plain = Estimator(**SMALL).fit(X, TARGETS[Estimator])
    for off in (0.0, 0):
        assert_same_model(make(Estimator, mixup_alpha=off).fit(X, TARGETS[Estimator]), plain)
    assert plain._optimizer.seed is None


@both_estimators
def test_the_seed_is_drawn_with_mixup_only(Estimator):
    states = []
    for alpha in (0.0, 0.4):
        rng = np.random.RandomState(3)
        make(Estimator, mixup_alpha=alpha, random_state=rng, shuffle=False).fit(X, TARGETS[Estimator])
        states.append(rng.randint(2**31))
    assert states[0] != states[1]


@both_estimators
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bits(Estimator, dtype, monkeypatch):
    monkeypatch.setattr("fastbp.threads.FLOPS_PER_THREAD", 1)
    weight = np.arange(60.0) % 3
    fits = [make(Estimator, n_threads=n).fit(X.astype(dtype), TARGETS[Estimator], weight) for n in (1, 2, 3)]
    for other in fits[1:]:
        assert_same_model(other, fits[0])


@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "muon", "schedule_free"])
def test_copies_and_going_on(Estimator, solver):
    y, params = TARGETS[Estimator], dict(solver=solver, dropout=0.2)
    whole = make(Estimator, **params).fit(X, y)
    assert_same_model(make(Estimator, **params).fit(X, y), whole)
    restored = pickle.loads(pickle.dumps(whole))
    for model in (whole, restored):
        model.partial_fit(X, y)
        model.set_params(mixup_alpha=0.2).partial_fit(X, y).set_params(mixup_alpha=0.0).partial_fit(X, y)
    assert_array_equal(restored.network_.params, whole.network_.params)
    assert clone(whole.set_params(mixup_alpha=0.3)).mixup_alpha == 0.3
    before = whole.network_.params.copy()
    whole.set_params(warm_start=True).fit(X, y)
    assert (whole.network_.params != before).any()


def test_partial_fit_goes_on_as_fit():
    parts, whole = (make(MLPRegressor, max_iter=3, shuffle=False) for _ in range(2))
    whole.fit(X, COLUMNS)
    for _ in range(3):
        parts.partial_fit(X, COLUMNS)
    assert_array_equal(parts.network_.params, whole.network_.params)


@both_estimators
def test_one_row(Estimator):
    models = [make(Estimator, mixup_alpha=alpha) for alpha in (0.0, 0.4)]
    for model in models:
        first = dict(classes=[0, 1, 2]) if Estimator is MLPClassifier else {}
        for i in range(3):
            model.set_params(batch_size=1).partial_fit(X[i : i + 1], TARGETS[Estimator][i : i + 1], **first)
    # the seed comes from the generator before the shuffles, which change nothing here
    assert_array_equal(models[0].network_.params, models[1].network_.params)


@both_estimators
def test_weights_are_counts(Estimator):
    # a row of weight zero might as well not be there, also where its numbers are large
    y, weight = TARGETS[Estimator], np.where(np.arange(60) % 4, 1.0, 0.0)
    far = np.where(weight[:, None] > 0, X, 1e6)
    models = [make(Estimator).fit(rows, y, weight) for rows in (X, far)]
    assert_same_model(*models)


def test_grid_search():
    search = GridSearchCV(make(MLPRegressor), {"mixup_alpha": [0.0, 0.1, 1.0]}, cv=2).fit(X, COLUMNS)
    assert len(set(search.cv_results_["mean_test_score"])) == 3


def test_autoencoder():
    encoder = MLPEncoder(2, (6,), make(MLPRegressor)).fit(X)
    plain = MLPEncoder(2, (6,), make(MLPRegressor, mixup_alpha=0.0)).fit(X)
    assert (encoder.transform(X) != plain.transform(X)).any()


def test_mixup_regularizes():
    # wrong labels: a net that learns them by heart is right in all rows that it was trained on
    digits, y = load_digits(return_X_y=True)
    digits, wrong, rng = digits[:300] / 16, y[:300].copy(), np.random.default_rng(0)
    chosen = rng.choice(300, 90, replace=False)
    wrong[chosen] = rng.integers(10, size=90)
    model = MLPClassifier(random_state=0, max_iter=150, learning_rate_init=0.01, tol=0, n_iter_no_change=np.inf)
    scores = []
    for alpha in (0.0, 1.0):
        model.set_params(mixup_alpha=alpha).fit(digits, wrong)
        scores.append((model.score(digits, wrong), model.score(load_digits().data[300:] / 16, y[300:])))
    (plain_train, plain_test), (mixed_train, mixed_test) = scores
    assert plain_train == 1.0 > mixed_train
    assert mixed_test > plain_test + 0.05


@both_estimators
@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, "0.1", None])
def test_bad_values(Estimator, value):
    with pytest.raises(InvalidParameterError, match=f"The 'mixup_alpha' parameter of {Estimator.__name__} must be"):
        make(Estimator, mixup_alpha=value).fit(X, TARGETS[Estimator])


@both_estimators
def test_lbfgs_has_no_mixup(Estimator):
    message = "solver='lbfgs' has no mixup_alpha, got mixup_alpha=0.4. Set mixup_alpha=0, or choose a stochastic"
    with pytest.raises(ValueError, match=message):
        make(Estimator, solver="lbfgs").fit(X, TARGETS[Estimator])
    make(Estimator, solver="lbfgs", mixup_alpha=0.0).fit(X, TARGETS[Estimator])


@both_estimators
def test_sparse_rows(Estimator):
    rows = sparse.csr_array(np.where(X > 0, X, 0))
    assert not make(Estimator).__sklearn_tags__().input_tags.sparse
    with pytest.raises(ValueError, match=r"mixup_alpha=0.4 needs a dense X, got a sparse one: use X.toarray\(\), or"):
        make(Estimator).fit(rows, TARGETS[Estimator])
    model = make(Estimator).fit(rows.toarray(), TARGETS[Estimator])
    assert_array_equal(model.predict(rows.toarray()), model.predict(rows))


@pytest.mark.parametrize("loss", ["gaussian", Quantile(0.9), Quantile([0.1, 0.5])])
def test_losses_of_the_spread(loss):
    with pytest.raises(ValueError, match=r"mixup_alpha=0.4 makes targets spread less, and loss=.* estimates how far"):
        make(MLPRegressor, loss=loss).fit(X, COLUMNS[:, 0])
