"""The output layer that an estimator is asked for, and the network inside of it: output_activation, network_."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import reference
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.kernels import ACTIVATIONS
from loss_functions import squared_error

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 40
X = RNG.normal(size=(N, 3))
SCORE = X @ RNG.normal(size=(3, 2)) / 2
COUNTS = RNG.poisson(np.exp(SCORE[:, 0])).astype(float)
SMALL = dict(hidden_layer_sizes=(5,), activation="tanh", max_iter=4, batch_size=16, random_state=0)
OUTPUTS = [name for name in ACTIVATIONS if name != "softmax"]
CLASSES = {
    "binary": (SCORE[:, 0] > 0, "logistic"),
    "multiclass": (np.digitize(SCORE[:, 0], [-0.3, 0.3]), "softmax"),
    "multilabel": ((SCORE > 0).astype(int), "logistic"),
}
both_estimators = pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])


def labels(Estimator):
    return SCORE[:, 0] > 0 if Estimator is MLPClassifier else SCORE[:, 0]


# Which output a regressor may have


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("loss", ["squared_error", squared_error])
@pytest.mark.parametrize("y", [SCORE[:, 0], SCORE], ids=["one output", "two outputs"])
def test_every_output_of_a_regressor(output, loss, y):
    model = MLPRegressor(loss, **SMALL, output_activation=output).fit(X, y)
    assert model.out_activation_ == output
    assert model.network_.activations == ("tanh", output)
    A, _ = reference.forward(model.coefs_, model.intercepts_, X, ("tanh", output))
    assert_allclose(model.predict(X).reshape(N, -1), A[-1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("output", "loss", "y"),
    [
        ("exp", "squared_error", np.exp(SCORE)),
        ("softplus", "squared_error", np.exp(SCORE)),
        ("logistic", "squared_error", 1 / (1 + np.exp(-SCORE))),
        ("tanh", "squared_error", np.tanh(SCORE)),
        ("softplus", "poisson", COUNTS[:, None]),
        ("logistic", "poisson", (COUNTS[:, None] > 0).astype(float)),
        ("exp", "poisson", COUNTS[:, None]),
    ],
)
def test_training_of_a_regressor_with_a_link(output, loss, y, solver):
    weight = RNG.uniform(0.5, 2, N)
    params = SMALL | dict(loss=loss, output_activation=output, solver=solver, alpha=0.1, shuffle=False)
    model = MLPRegressor(**params).fit(X, y[:, 0] if y.shape[1] == 1 else y, weight)
    start = Network((3, 5, y.shape[1]), "tanh", random_state=0)
    update = reference.OPTIMIZERS[solver]
    losses, steps = reference.train(
        start.coefs,
        start.intercepts,
        X,
        y,
        update=update,
        rates=[0.001] * 4,
        batch_size=16,
        activations=("tanh", output),
        loss=loss,
        alpha=0.1,
        sample_weight=weight,
    )
    assert model._optimizer.n_steps == steps == 12
    # twelve steps, in which roundings add up
    for actual, expected in zip(model.coefs_ + model.intercepts_, start.coefs + start.intercepts, strict=True):
        assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)
    if y.shape[1] == 1:  # else the recorded squared error is a mean over the outputs
        assert_allclose(model.loss_curve_, losses, rtol=1e-12)


def test_lbfgs_with_a_link_reaches_a_minimum():
    y = np.exp(SCORE[:, 0])
    model = MLPRegressor(**SMALL | dict(max_iter=2000), solver="lbfgs", tol=1e-7, output_activation="exp", alpha=0.01)
    model.fit(X, y)
    loss, gradient = model.network_.loss_and_gradient(X, y)
    assert_allclose(loss, model.loss_, rtol=1e-12)
    # scipy also stops where the loss falls by less than 2e-9 of itself: the gradient is about the root of that
    assert np.abs(gradient).max() < 1e-3
    assert loss < 0.02
    assert (model.predict(X) > 0).all()


def test_auto_is_the_activation_that_belongs_to_the_loss():
    for loss, expected in (("squared_error", "identity"), ("poisson", "exp"), (squared_error, "identity")):
        model = MLPRegressor(loss, **SMALL).fit(X, COUNTS)
        assert model.out_activation_ == expected
        named = MLPRegressor(loss, **SMALL, output_activation=expected).fit(X, COUNTS)
        assert_array_equal(named.predict(X), model.predict(X))


@pytest.mark.parametrize("output", [name for name in OUTPUTS if name not in ("exp", "softplus", "logistic")])
def test_a_poisson_mean_is_positive(output):
    model = MLPRegressor("poisson", **SMALL, output_activation=output)
    message = rf"output_activation must be positive for loss='poisson': 'auto' or one of \(.*\); got '{output}'"
    with pytest.raises(ValueError, match=message):
        model.fit(X, COUNTS)
    assert not hasattr(model, "coefs_")


def test_negative_targets_of_a_link():
    # any numbers go with the squared error, and counts with poisson, whatever the link
    MLPRegressor(**SMALL, output_activation="exp").fit(X, SCORE)
    with pytest.raises(ValueError, match="loss='poisson' requires y >= 0"):
        MLPRegressor("poisson", **SMALL, output_activation="softplus").fit(X, SCORE)
    # a function knows itself what it can take
    MLPRegressor(squared_error, **SMALL, output_activation="exp").fit(X, SCORE)


@both_estimators
@pytest.mark.parametrize("output", ["sine", None, 3, "identity "])
def test_no_output_activation(Estimator, output):
    model = Estimator(**SMALL, output_activation=output)
    with pytest.raises(InvalidParameterError, match=r"The 'output_activation' parameter of .* must be a str among"):
        model.fit(X, labels(Estimator))


def test_softmax_is_for_classes():
    with pytest.raises(InvalidParameterError, match=r"'output_activation' parameter of MLPRegressor .* Got 'softmax'"):
        MLPRegressor(**SMALL, output_activation="softmax").fit(X, SCORE)


# A classifier


@pytest.mark.parametrize("target", CLASSES)
def test_output_of_a_classifier(target):
    y, expected = CLASSES[target]
    auto = MLPClassifier(**SMALL).fit(X, y)
    named = MLPClassifier(**SMALL, output_activation=expected).fit(X, y)
    assert auto.out_activation_ == named.out_activation_ == expected
    assert_array_equal(named.predict_proba(X), auto.predict_proba(X))
    other = {"softmax": "logistic", "logistic": "softmax"}[expected]
    model = MLPClassifier(**SMALL, output_activation=other)
    message = f"output_activation must be 'auto' or '{expected}' for {target}(-indicator)? targets, got '{other}'"
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "classes_")
    for name in ("identity", "exp"):
        with pytest.raises(InvalidParameterError, match="'output_activation' parameter of MLPClassifier"):
            MLPClassifier(**SMALL, output_activation=name).fit(X, y)


# A changed output activation


@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_a_changed_output_counts_in_the_next_training(how):
    def trained(model):
        model.set_params(warm_start=True)
        return model.partial_fit(X, COUNTS) if how == "partial_fit" else model.fit(X, COUNTS)

    model = MLPRegressor(**SMALL).fit(X, COUNTS).set_params(output_activation="exp")
    # until then the model is the one that was trained
    assert (model.out_activation_, model.network_.activations[-1]) == ("identity", "identity")
    trained(model)
    assert (model.out_activation_, model.network_.activations[-1]) == ("exp", "exp")
    assert (model.predict(X) > 0).all()
    # another loss changes what 'auto' stands for
    model = trained(MLPRegressor(**SMALL).fit(X, COUNTS).set_params(loss="poisson"))
    assert model.out_activation_ == "exp"
    assert (model.predict(X) > 0).all()
    assert np.isfinite(model.loss_)


def test_a_refused_output_leaves_the_model_as_it_was():
    model = MLPRegressor("poisson", **SMALL, warm_start=True).fit(X, COUNTS)
    before = model.predict(X)
    model.set_params(output_activation="tanh")
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="output_activation must be positive"):
            train(X, COUNTS)
        assert model.out_activation_ == "exp"
        assert_array_equal(model.predict(X), before)


def test_clone_and_pickle():
    model = MLPRegressor(**SMALL, output_activation="softplus").fit(X, SCORE)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    assert_array_equal(clone(model).fit(X, SCORE).predict(X), model.predict(X))


# network_


@both_estimators
def test_network_before_fit(Estimator):
    model = Estimator()
    with pytest.raises(NotFittedError, match=f"This {Estimator.__name__} instance is not fitted yet"):
        model.network_  # noqa: B018  to look at it is the test
    assert not hasattr(model, "network_")
    assert "network_" not in vars(model)


@both_estimators
def test_network_is_live(Estimator):
    y = labels(Estimator)
    model = Estimator(**SMALL).fit(X, y)
    output = model.predict if Estimator is MLPRegressor else model.predict_proba
    network, before = model.network_, output(X)
    assert network is model.network_
    assert isinstance(network, Network)
    assert_array_equal(network.forward(X)[:, 0], before if before.ndim == 1 else before[:, 1])
    network.params *= 0.5
    changed = output(X)
    assert (changed != before).all()
    assert_array_equal(model.coefs_[0], network.coefs[0])
    # the other way round
    model.coefs_[-1][...] = 0
    model.intercepts_[-1][...] = 0
    assert not network.coefs[-1].any()
    assert_array_equal(network.forward(X), np.full((N, 1), 0.0 if Estimator is MLPRegressor else 0.5))
    # partial_fit goes on from it, with a copy: who holds it sees the model as it was
    model.partial_fit(X, y)
    assert model.network_ is not network
    assert model.network_.coefs[-1].any()
    assert not network.coefs[-1].any()


def test_it_has_the_loss_and_the_penalty_that_are_set():
    model = MLPRegressor(**SMALL).fit(X, SCORE[:, 0]).set_params(loss=squared_error, alpha=10.0)
    network = model.network_
    assert (network.loss, network.alpha) == (squared_error, 10.0)
    network.params[...] = 0.5
    assert (model.coefs_[0] == 0.5).all()
    assert (model.predict(X) == network.forward(X)[:, 0]).all()
    penalized, _ = network.loss_and_gradient(X, SCORE[:, 0])
    plain, _ = model.set_params(alpha=0.0).network_.loss_and_gradient(X, SCORE[:, 0])
    # 3 * 5 + 5 weights of 1 / 2
    assert_allclose(penalized - plain, 10 / 2 * 20 * 0.25 / N, rtol=1e-12)


def test_looking_at_it_changes_nothing():
    model = MLPRegressor(**SMALL, alpha=0.5, n_threads=1).fit(X, SCORE[:, 0])
    first, trained = model.network_, vars(model)["_network"]
    model.set_params(loss="poisson", alpha=10.0, n_threads=2)
    second, before = model.network_, vars(model).copy()
    model.predict(X)
    for network, expected in ((first, ("squared_error", 0.5, 1)), (second, ("poisson", 10.0, 2))):
        assert (network.loss, network.alpha, network.n_threads) == expected
    assert (trained.loss, trained.alpha, trained.n_threads) == ("squared_error", 0.5, 1)
    assert vars(model).keys() == before.keys()
    assert all(value is before[name] for name, value in vars(model).items())
    second.params *= 2
    assert_array_equal(first.params, second.params)
    with pytest.raises(ValueError, match="n_threads must be None or an integer >= 1, got 0"):
        model.set_params(n_threads=0).predict(X)
    with pytest.raises(ValueError, match="alpha must be a finite number >= 0, got -1"):
        model.set_params(n_threads=None, alpha=-1).network_  # noqa: B018  to look at it is the test


@both_estimators
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_its_loss_is_the_estimators(Estimator, container):
    y = labels(Estimator)
    model = Estimator(**SMALL | dict(max_iter=300), solver="lbfgs", alpha=0.3).fit(container(X), y)
    loss, _ = model.network_.loss_and_gradient(container(X), np.asarray(y, float))
    assert_allclose(loss, model.loss_, rtol=1e-12)


def test_network_with_assigned_weights():
    model = MLPRegressor(**SMALL).fit(X, SCORE)
    model.coefs_ = [2 * W for W in model.coefs_]
    network = model.network_
    assert_array_equal(network.coefs[0], model.coefs_[0])
    assert_array_equal(network.forward(X), model.predict(X))
    model.coefs_ = model.coefs_[:1]
    with pytest.raises(ValueError, match="coefs_ and intercepts_ must hold 2 arrays each"):
        model.network_  # noqa: B018  to look at it is the test


def test_float32():
    model = MLPRegressor(**SMALL, output_activation="exp").fit(X.astype(np.float32), SCORE)
    assert model.network_.dtype == np.float32
    assert model.predict(X.astype(np.float32)).dtype == np.float32


def test_network_and_data():
    for Estimator, y in ((MLPRegressor, SCORE), (MLPClassifier, CLASSES["multiclass"][0] + 7)):
        model = Estimator(**SMALL).fit(X, y)
        network, given, targets = model._network_and_data(X.tolist(), y.tolist())
        assert network is model.network_
        assert_array_equal(given, X)
        assert np.isfinite(network.loss_and_gradient(given, targets)[0])
        assert model._network_and_data(X)[2] is None
        with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
            model._network_and_data(X[:, :2], y)
        with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
            model._network_and_data(X[:, :2])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        model._network_and_data(X, y + 100)
    with pytest.raises(NotFittedError):
        MLPRegressor()._network_and_data(X, SCORE)
    counts = MLPRegressor("poisson", **SMALL).fit(X, COUNTS)
    with pytest.raises(ValueError, match="loss='poisson' requires y >= 0"):
        counts._network_and_data(X, -COUNTS - 1)
