"""The losses of MLPRegressor that scikit-learn's does not have: absolute_error, huber, quantile, gamma, tweedie and
gaussian. What they compute is in ``kernels/test_losses.py``, the objects in ``test_losses.py``."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

import reference
from fastbp import MLPRegressor, Network, slim
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.losses import AbsoluteError, Gamma, Gaussian, Huber, Quantile, SquaredError, Tweedie

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = np.exp(X[:, 0] / 2) + RNG.gamma(1, 0.3, size=200)  # positive, for every loss
THREE = Quantile([0.1, 0.5, 0.9])
LOSSES = ["absolute_error", Huber(0.3), Quantile(0.8), THREE, "gamma", Tweedie(1.3), "gaussian"]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def model(loss, **params):
    params = dict(hidden_layer_sizes=(8,), random_state=0, max_iter=10, learning_rate_init=0.01) | params
    return MLPRegressor(loss, **params)


def mean_loss(regressor, y):
    """The twin's mean loss of a fitted model."""
    loss, output = regressor.network_.resolved_loss, regressor.network_.forward(X)
    y = y.reshape(len(y), -1)
    if loss.kernel in reference.ROW_LOSSES:
        return reference.ROW_LOSSES[loss.kernel](y, output, *loss.constants)[0].mean()
    return reference.LOSSES[loss.kernel][0](y, output, *loss.constants).sum(axis=1).mean()


@every_loss
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_training_lowers_the_loss(loss, solver):
    few, more = (model(loss, solver=solver, max_iter=n, tol=0).fit(X, Y) for n in (1, 30))
    assert mean_loss(more, Y) < 0.9 * mean_loss(few, Y)


@every_loss
def test_recorded_loss_is_the_mean_loss(loss):
    fitted = model(loss, solver="lbfgs", alpha=0.0).fit(X, Y)
    assert_allclose(fitted.loss_, mean_loss(fitted, Y), rtol=1e-10)


@pytest.mark.parametrize("loss", ["absolute_error", "gamma", "gaussian"])
def test_recorded_loss_of_several_targets_is_summed_over_them(loss):
    y = np.column_stack([Y, 2 * Y])
    fitted = model(loss, solver="lbfgs", alpha=0.0).fit(X, y)
    assert_allclose(fitted.loss_, mean_loss(fitted, y), rtol=1e-10)


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes(loss, dtype):
    fitted = model(loss, max_iter=2).fit(X.astype(dtype), Y)
    several = loss is THREE
    assert fitted.predict(X.astype(dtype)).shape == ((200, 3) if several else (200,))
    assert fitted.predict(X.astype(dtype)).dtype == dtype
    assert fitted.n_outputs_ == (3 if several else 1)
    assert fitted.coefs_[-1].shape == (8, 2 if loss == "gaussian" else fitted.n_outputs_)
    if not several:
        two = model(loss, max_iter=2).fit(X, np.column_stack([Y, Y]))
        assert (two.n_outputs_, two.predict(X).shape) == (2, (200, 2))


def test_output_activation_follows_the_loss():
    links = {str(loss): model(loss, max_iter=1).fit(X, Y).out_activation_ for loss in LOSSES}
    assert [link for link in links.values()] == ["identity"] * 4 + ["exp"] * 2 + ["identity"]


@pytest.mark.parametrize(("loss", "output"), [("gamma", "relu"), ("tweedie", "identity")])
def test_outputs_that_are_no_means(loss, output):
    with pytest.raises(ValueError, match=f"output_activation must be positive for loss='{loss}': 'auto' or one of"):
        model(loss, output_activation=output).fit(X, Y)


@pytest.mark.parametrize("loss", ["gaussian", THREE], ids=repr)
def test_losses_with_an_output_of_their_own(loss):
    with pytest.raises(
        ValueError, match=r"output_activation must be the link for .* one of \('identity',\); got 'tanh'"
    ):
        model(loss, output_activation="tanh").fit(X, Y)


@pytest.mark.parametrize(
    ("loss", "low", "message"), [("gamma", 0.0, "positive"), ("tweedie", -0.5, ">= 0")], ids=["gamma", "tweedie"]
)
def test_targets_outside_of_the_domain(loss, low, message):
    fitted = model(loss).fit(X, Y)
    weights = fitted.coefs_[0].copy()
    for train in (fitted.fit, fitted.partial_fit):
        with pytest.raises(ValueError, match=rf"loss='{loss}' requires y {message}, got a smallest y of {low}"):
            train(X, np.where(np.arange(200) == 3, low, Y))
    assert_array_equal(fitted.coefs_[0], weights)
    with pytest.raises(ValueError, match=f"requires y {message}"):
        Network([3, 1], output_activation="exp", loss=loss).loss_and_gradient(X, np.full(200, -1.0))


def test_several_quantiles_of_several_targets():
    with pytest.raises(ValueError, match="several quantiles need a y of one column, got 2 columns"):
        model(THREE).fit(X, np.column_stack([Y, Y]))


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("absolute_error", AbsoluteError()),
        ("huber", Huber(delta=1.0)),
        ("quantile", Quantile(0.5)),
        ("gamma", Gamma()),
        ("tweedie", Tweedie(power=1.5)),
        ("gaussian", Gaussian(epsilon=1e-6)),
    ],
)
def test_a_name_and_an_object_give_the_same_model(name, loss):
    by_name, by_object = model(name).fit(X, Y), model(loss).fit(X, Y)
    assert_array_equal(by_name.predict(X), by_object.predict(X))
    assert by_name.loss_ == by_object.loss_


def test_constants_have_an_effect_and_are_reached_by_a_grid_search():
    search = GridSearchCV(model(Huber()), {"loss__delta": [0.01, 100.0]}, cv=2).fit(X, Y)
    assert search.best_estimator_.loss.delta in (0.01, 100.0)
    losses = [model(Huber(delta)).fit(X, Y).loss_ for delta in (0.01, 100.0)]
    assert losses[0] < losses[1]
    # up to delta it is half the squared error
    assert_array_equal(model(Huber(1e6)).fit(X, Y).predict(X), model(SquaredError()).fit(X, Y).predict(X))


def test_two_medians():
    # twice the quantile loss of one half is the absolute error
    half, whole = model(Quantile(0.5), solver="sgd", alpha=0), model("absolute_error", solver="sgd", alpha=0)
    whole.learning_rate_init /= 2
    assert_allclose(half.fit(X, Y).predict(X), whole.fit(X, Y).predict(X), rtol=1e-10)


@every_loss
def test_copies(loss):
    fitted = model(loss).fit(X, Y)
    for other in (pickle.loads(pickle.dumps(fitted)), slim(fitted), clone(fitted).fit(X, Y)):
        assert other.get_params()["loss"] == loss
        assert_array_equal(other.predict(X), fitted.predict(X))


@every_loss
def test_partial_fit_and_warm_start(loss):
    whole = model(loss, max_iter=3, shuffle=False, tol=0).fit(X, Y)
    parts = model(loss, shuffle=False)
    for _ in range(3):
        parts.partial_fit(X, Y)
    assert_array_equal(parts.predict(X), whole.predict(X))
    parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, Y)
    assert_array_equal(parts.predict(X), model(loss, max_iter=4, shuffle=False, tol=0).fit(X, Y).predict(X))
    warm = model(loss, max_iter=1, warm_start=True).fit(X, Y)
    before = warm.loss_
    assert warm.set_params(max_iter=20).fit(X, Y).loss_ < before


def test_warm_start_with_another_number_of_outputs():
    fitted = model("gaussian", warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="go on with the fitted layers"):
        fitted.set_params(loss="huber").fit(X, Y)


@every_loss
def test_early_stopping(loss):
    fitted = model(loss, early_stopping=True, max_iter=20).fit(X, Y)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)


@every_loss
def test_score_is_r2(loss):
    fitted, weight = model(loss).fit(X, Y), np.linspace(0, 1, 200)
    predictions = fitted.predict(X)
    if loss is THREE:
        predictions = predictions[:, 1]
    assert fitted.score(X, Y) == r2_score(Y, predictions)
    assert fitted.score(X, Y, weight) == r2_score(Y, predictions, sample_weight=weight)


@every_loss
def test_a_change_of_the_loss_leaves_the_fitted_model_as_it_is(loss):
    fitted = model(loss).fit(X, Y)
    before = fitted.predict(X)
    fitted.set_params(loss="squared_error")
    assert_array_equal(fitted.predict(X), before)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), before)


@every_loss
def test_threads_do_not_change_the_model(loss):
    one, two = (model(loss, max_iter=3, n_threads=n, batch_size=100).fit(X, Y) for n in (1, 2))
    assert_array_equal(one.predict(X), two.predict(X))


@every_loss
def test_weights_count_as_repeated_rows(loss):
    weight = np.arange(200) % 3
    weighted = model(loss, solver="lbfgs", alpha=0).fit(X, Y, weight)
    repeated = model(loss, solver="lbfgs", alpha=0).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight))
    assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-3)  # L-BFGS enlarges rounding


@pytest.mark.parametrize(
    ("loss", "output"),
    [*((loss, "auto") for loss in LOSSES), *((loss, "softplus") for loss in LOSSES if loss not in ("gaussian", THREE))],
    ids=repr,
)
def test_inspection_and_derivatives(loss, output):
    fitted = model(loss, activation="tanh", output_activation=output).fit(X, Y)
    assert gradient_check(fitted, X[:20], Y[:20], np.linspace(0.5, 1, 20)).passed
    network = fitted.network_
    assert_allclose(backprop_trace(fitted, X, Y).loss, network.loss_and_gradient(X, Y)[0], rtol=1e-12)
    direction = np.random.default_rng(1).normal(size=network.n_params)
    ahead, behind = network.copy(), network.copy()
    ahead.params, behind.params = network.params + 1e-6 * direction, network.params - 1e-6 * direction
    expected = (ahead.loss_and_gradient(X, Y)[1] - behind.loss_and_gradient(X, Y)[1]) / 2e-6
    # third derivatives of order 100 times 1e-12, unless an error crosses a corner of the loss between the two
    assert_allclose(network.hvp(X, Y, direction), expected, rtol=1e-6, atol=1e-6)


def test_quantiles_cover_their_share():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(4000, 1))
    y = X[:, 0] + (0.2 + X[:, 0] ** 2) * rng.normal(size=4000)
    fitted = model(THREE, learning_rate_init=0.002, max_iter=100, tol=0).fit(X, y)
    found = (y[:, None] < fitted.predict(X)).mean(axis=0)
    # the standard error is sqrt(0.25 / 4000) = 0.008, and training has not quite converged
    assert_allclose(found, [0.1, 0.5, 0.9], atol=0.04)
    assert (np.diff(fitted.predict(X * 10), axis=1) >= 0).all()


def test_predicted_standard_deviations():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(4000, 1))
    deviation = 0.2 + np.abs(X[:, 0])
    y = np.column_stack([X[:, 0] + deviation * rng.normal(size=4000), 3 + rng.normal(size=4000)])
    fitted = model("gaussian", hidden_layer_sizes=(16,), max_iter=60, batch_size=100).fit(X, y)
    mean, std = fitted.predict(X, return_std=True)
    assert_array_equal(mean, fitted.predict(X))
    # 4,000 rows and a small network know a standard deviation to about a tenth
    assert_allclose(std[:, 0], deviation, rtol=0.3, atol=0.05)
    assert_allclose(std[:, 1], 1, rtol=0.2)
    one_mean, one_std = model("gaussian").fit(X, y[:, 0]).predict(X, return_std=True)
    assert one_mean.shape == one_std.shape == (4000,)


def test_only_the_gaussian_has_standard_deviations():
    with pytest.raises(ValueError, match=r"return_std=True needs a model that was fitted with loss='gaussian'"):
        model("huber").fit(X, Y).predict(X, return_std=True)
    with pytest.raises(NotFittedError):
        model("gaussian").predict(X, return_std=True)


def test_a_network_with_these_losses():
    network = Network([3, 4, 2], "tanh", loss=Gaussian(), random_state=0)
    loss, gradient = network.loss_and_gradient(X, Y)
    assert_allclose(loss, reference.gaussian(Y[:, None], network.forward(X))[0].mean(), rtol=1e-12)
    assert gradient.shape == (network.n_params,)
    with pytest.raises(ValueError, match=r"y must have shape \(200, 1\) to fit X and the network, got \(200, 2\)"):
        network.loss_and_gradient(X, np.column_stack([Y, Y]))
    assert pickle.loads(pickle.dumps(network)).loss == Gaussian()
