"""Every activation in onnxruntime, against the kernels."""

import numpy as np
import pytest
from scipy.special import erfc

from fastbp import MLPClassifier, Network, to_onnx
from fastbp.activations import HIDDEN_ACTIVATIONS
from fastbp.export.onnx.activations import ACTIVATIONS, erfcx_polynomial
from fastbp.kernels import dispatch
from fastbp.layers import Activation, Scale
from onnx_cases import CLASS_METHODS, assert_agrees, run

pytest.importorskip("onnxruntime")

#: Pre-activations: around 0, where functions saturate, and beyond
Z = np.concatenate([np.linspace(-90, 90, 3601), np.linspace(-1, 1, 201), [0.0, -0.0, 1e-30, 39.9, 40.1, 1e4, -1e4]])


def test_every_activation_has_a_form():
    assert set(ACTIVATIONS) == set(dispatch.ACTIVATIONS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", dispatch.ACTIVATIONS)
def test_values(name, dtype):
    z = (Z[np.abs(Z) < 80] if name == "exp" else Z).reshape(-1, 1).astype(dtype)
    z = np.hstack([z, -z, z / 2])
    network = Network(layers=[Scale(), Activation(name)], n_features=3, dtype=dtype)
    found = run(to_onnx(network), z)["variable"]
    # relative to the value, and to 1: the steps of float32 are 1.2e-7, and those of an exponent of 80 are 1e-5
    tolerance = {"rtol": 1e-6, "atol": 5e-7} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-14}
    np.testing.assert_allclose(found, network.forward(z), **tolerance)


def test_the_logistic_function_has_its_relative_error():
    """The operator Sigmoid of onnxruntime has not, below -18 in float32."""
    network = Network(layers=[Scale(), Activation("logistic")], n_features=1, dtype="float32")
    z = np.linspace(-80, 0, 300, dtype="float32")[:, None]
    found = assert_agrees(network, z, methods=("forward",))["variable"]
    np.testing.assert_allclose(found, network.forward(z), rtol=1e-6)


@pytest.mark.parametrize("name", dispatch.ACTIVATIONS)
def test_not_a_number_goes_through(name):
    network = Network(layers=[Scale(), Activation(name)], n_features=2)
    found = assert_agrees(network, np.array([[0.5, np.nan], [np.nan, np.nan]]), methods=("forward",))["variable"]
    assert np.isnan(found[:, 1]).all()


def test_erfc_by_the_polynomial():
    q = np.linspace(0, 6, 10001)
    t = 1 / (1 + q / 2)
    np.testing.assert_allclose(t * np.polyval(erfcx_polynomial(), 2 * t - 1) * np.exp(-(q**2)), erfc(q), atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_classifiers(activation, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)).astype(dtype)
    y = np.digitize(X[:, 0] * X[:, 1], [-0.5, 0.5])
    params = dict(max_iter=20, learning_rate_init=0.01, n_iter_no_change=np.inf, random_state=0)
    model = MLPClassifier((16, 12), activation, tol=0, **params)
    with pytest.warns(match="Maximum iterations"):
        model.fit(X, y)
    assert_agrees(model, X, methods=CLASS_METHODS)
