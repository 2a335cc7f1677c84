"""Networks become estimators that predict at once."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastbp
from fastbp import MLPClassifier, MLPRegressor, Network, from_network
from fastbp.layers import Activation, BatchNorm, Dense, Dropout, Residual
from fastbp.losses import Focal, Gaussian, LogLoss, Quantile

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))


def network(sizes=(4, 6, 3), output="softmax", loss="squared_error", **params):
    return Network(list(sizes), params.pop("activation", "tanh"), output, loss, random_state=0, **params)


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["c", "a", "b"], [10, -1, 3], np.array([2.0, 1.0, 0.0])])
def test_many_classes(classes):
    net = network()
    model = from_network(net, classes)
    assert isinstance(model, MLPClassifier)
    assert_array_equal(model.classes_, np.unique(classes))
    order = np.argsort(classes)
    # the probabilities are divided by a sum in another order
    assert_allclose(model.predict_proba(X), net.forward(X)[:, order], rtol=1e-14)
    assert_array_equal(model.predict(X), np.asarray(classes)[net.forward(X).argmax(axis=1)])


@pytest.mark.parametrize("classes", [["no", "yes"], ["yes", "no"], [False, True]])
@pytest.mark.parametrize(("n", "output"), [(1, "logistic"), (2, "softmax")])
def test_two_classes(classes, n, output):
    net = network((4, 6, n), output)
    model = from_network(net, classes)
    found = net.forward(X)
    found = np.hstack([1 - found, found]) if n == 1 else found
    assert model.n_outputs_ == 1
    assert_allclose(model.predict_proba(X), found[:, np.argsort(classes)], rtol=1e-12)
    assert_array_equal(model.predict(X), np.asarray(classes)[found.argmax(axis=1)])


def test_indicators():
    net = network((4, 6, 3), "logistic")
    model = from_network(net, range(3))
    assert_array_equal(model.predict_proba(X), net.forward(X))
    assert_array_equal(model.predict(X), net.forward(X) > 0.5)


@pytest.mark.parametrize("output", ["identity", "exp", "softplus", "logistic"])
def test_numbers(output):
    net = network((4, 6, 2), output)
    model = from_network(net)
    assert isinstance(model, MLPRegressor)
    assert_array_equal(model.predict(X), net.forward(X))
    assert from_network(network((4, 1), output)).predict(X).shape == (30,)


def test_losses():
    gaussian = from_network(network((4, 6, 2), "identity", Gaussian()))
    mean, std = gaussian.predict(X, return_std=True)
    assert mean.shape == std.shape == (30,)
    quantiles = from_network(network((4, 6, 3), "identity", Quantile([0.1, 0.5, 0.9])))
    assert (np.diff(quantiles.predict(X), axis=1) > 0).all()
    assert from_network(network(loss=LogLoss(0.1)), list("abc")).loss == LogLoss(0.1)
    assert from_network(network(loss=Focal()), list("abc")).loss == Focal()
    assert from_network(network(loss="log_loss"), list("abc")).loss == "log_loss"
    assert from_network(network(), list("abc")).loss == "log_loss"
    assert from_network(network((4, 1), "exp", "poisson")).loss == "poisson"
    assert from_network(network((4, 1), "logistic", "log_loss")).loss == "squared_error"
    assert from_network(network((4, 1), "exp", "poisson"), loss="gamma").loss == "gamma"


LAYERS = {
    "dense": [Dense(5, "relu"), Dense(3)],
    "activation of the last layer": [Dense(5, "relu"), Dense(3, "softmax")],
    "activation as a layer": [Dense(5, "relu"), Dense(3), Activation("softmax")],
    "blocks": [BatchNorm(), Dense(5), Residual([Dense(5, "prelu"), Dense(5)]), Dropout(0.5), Dense(3, use_bias=False)],
    "output alone": [Dense(3)],
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers(name, dtype):
    output = "softmax" if "activation" not in name else "identity"
    net = Network(layers=LAYERS[name], n_features=4, output_activation=output, dtype=dtype, random_state=0)
    model = from_network(net, list("abc"))
    rows = X.astype(dtype)
    assert_array_equal(model.predict_proba(rows), net.forward(rows))
    assert model.network_.dtype == dtype
    assert not np.shares_memory(model.network_.params, net.params)


@pytest.mark.parametrize("classes", [None, ["x", "y", "z"]])
def test_goes_on_as_an_estimator_with_these_initial_parameters(classes):
    net = network(output="identity" if classes is None else "softmax", alpha=0.01)
    params = dict(learning_rate_init=0.01, batch_size=10, shuffle=False, random_state=0)
    model, cls = from_network(net, classes, **params), MLPRegressor if classes is None else MLPClassifier
    assert model.alpha == 0.01
    init_from = net.coefs, net.intercepts
    other = cls(hidden_layer_sizes=(6,), activation="tanh", alpha=0.01, init_from=init_from, **params)
    y = RNG.normal(size=(30, 3)) if classes is None else np.array(classes)[np.arange(30) % 3]
    other.partial_fit(X, y, **({} if classes is None else {"classes": classes}))
    model.partial_fit(X, y)
    for one, two in zip(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert_array_equal(one, two)
    assert model.t_ == 30
    assert len(model.loss_curve_) == 1
    warm = from_network(net, classes, warm_start=True, tol=10.0, n_iter_no_change=1, max_iter=5, **params).fit(X, y)
    assert warm.n_iter_ >= 1
    assert warm.loss_curve_[0] == model.loss_curve_[0]


def test_copies_files_and_exports(tmp_path):
    pytest.importorskip("safetensors")
    model = from_network(network(), list("abc"))
    fastbp.save(model, tmp_path / "model.safetensors")
    for copy in (pickle.loads(pickle.dumps(model)), fastbp.load(tmp_path / "model.safetensors"), fastbp.slim(model)):
        assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    fastbp.to_c(model, tmp_path / "model.c")
    assert "model_predict_proba" in (tmp_path / "model.c").read_text()


def test_feature_names():
    pd = pytest.importorskip("pandas")
    model = from_network(network(), list("abc"), feature_names=list("wxyz"))
    model.predict(pd.DataFrame(X, columns=list("wxyz")))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(pd.DataFrame(X, columns=list("abcd")))


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (network(), {}, "are probabilities of 3 classes: give classes"),
        (network(), {"classes": ["a", "b"]}, "does not fit 3 outputs with the activation 'softmax'"),
        (network(output="identity"), {"classes": list("abc")}, "needs output_activation='softmax' or 'logistic'"),
        (network(output="logistic"), {"classes": list("abc")}, "does not fit 3 outputs"),
        (network(), {"classes": ["a", "a", "b"]}, "different labels"),
        (network(), {"classes": [["a", "b", "c"]]}, "different labels"),
        (network(), {"classes": ["a", None, "b"]}, "must hold labels"),
        (network(), {"classes": list("abc"), "activation": "relu"}, "activation follows from the network"),
        (network(), {"classes": list("abc"), "feature_names": ["a"]}, "feature_names must be 4 strings"),
        (network(), {"classes": list("abc"), "solver": "none"}, "solver"),
        (Network(layers=[Dense(3, "prelu")], n_features=4), {}, "Dense layer without an activation of its own"),
        (Network(layers=[Dense(3), BatchNorm()], n_features=4), {}, "Dense layer without an activation of its own"),
    ],
)
def test_refused(net, options, message):
    with pytest.raises(ValueError, match=message):
        from_network(net, **options)


def test_types_and_numbers_that_are_refused():
    with pytest.raises(TypeError, match="network must be a Network"):
        from_network(MLPClassifier())
    with pytest.raises(TypeError, match="nonsense"):
        from_network(network(), list("abc"), nonsense=1)
    net = network()
    net.params[0] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        from_network(net, list("abc"))
