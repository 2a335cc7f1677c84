"""`MLPEncoder`, `hidden_activations` and ``Network.part``: the layers of a network one by one."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from estimator_layer_cases import SMALL, X, both_estimators, fitted, labels, mixed_layers
from fastbp import MLPEncoder, MLPRegressor, Network, hidden_activations
from fastbp.activations import Blend
from fastbp.layers import Activation, Dense, Dropout, Residual, Scale
from reference import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Parts of a network


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_one_after_the_other_are_the_network(dtype):
    layers = [*mixed_layers(), Dense(2)]
    network = Network(layers=layers, n_features=4, output_activation="softmax", random_state=0, dtype=dtype)
    whole = network.forward(X)
    for middle in (1, 2, 3):
        first, last = network.part(0, middle), network.part(middle, len(layers))
        assert first.dtype == last.dtype == dtype
        assert first.n_params + last.n_params == network.n_params
        assert_allclose(last.forward(first.forward(X)), whole, rtol=1e-6 if dtype == np.float32 else 1e-14)
    assert_array_equal(network.part(0, len(layers)).forward(X), whole)
    assert_array_equal(network.part(-1, 99).blocks["W_1"], network.blocks["W_4"])
    first.params[:] = 0
    assert_array_equal(network.forward(X), whole)
    with pytest.raises(ValueError, match="layers must have parameters"):
        network.part(3, 4)


# Hidden layers


@both_estimators
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_hidden_activations(Estimator, dtype, container):
    rows = X.astype(dtype)
    model = Estimator(hidden_layer_sizes=(6, 5), activation="tanh", **SMALL).fit(rows, labels(Estimator))
    a = rows
    for number in range(2):
        a = ACTIVATIONS["tanh"][0](a @ model.coefs_[number] + model.intercepts_[number])
        for layer in (number, number - 2):
            found = hidden_activations(model, container(rows), layer)
            assert found.dtype == dtype
            assert_allclose(found, a, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-6)
    assert_array_equal(hidden_activations(model, rows), found)
    # weights assigned by the user count
    model.intercepts_ = [model.intercepts_[0], model.intercepts_[1] + 100, model.intercepts_[2]]
    assert_array_equal(hidden_activations(model, rows), 1)


def test_hidden_activations_in_the_dtype_of_predictions():
    model = MLPRegressor(**SMALL).fit(X.astype(np.float32), X[:, 0])
    assert hidden_activations(model, X).dtype == model.predict(X).dtype == np.float64
    model = MLPRegressor(dtype="float32", **SMALL).fit(X, X[:, 0])
    assert hidden_activations(model, X).dtype == model.predict(X).dtype == np.float32


@both_estimators
def test_hidden_activations_of_layers(Estimator):
    model = fitted(Estimator)
    values = [hidden_activations(model, X, layer) for layer in range(4)]
    assert [a.shape[1] for a in values] == [5, 5, 5, 5]
    assert_allclose(values[1], values[0] * model.network_.blocks["s_1"], rtol=1e-14)
    assert_allclose(values[3], np.tanh(values[2]), rtol=1e-14)


@both_estimators
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hidden_activations_of_layers_that_begin_without_parameters(Estimator, dtype):
    rows = X.astype(dtype)
    layers = [Dropout(0.1), Activation("tanh"), Residual([Dropout(0.2)]), Dense(3, "relu")]
    model = Estimator(layers=layers, **SMALL).fit(rows, labels(Estimator))
    tanh = ACTIVATIONS["tanh"][0](rows)
    for layer, expected in enumerate([rows, tanh, 2 * tanh]):
        for given in (rows, sp.csr_array(rows)):
            for number in (layer, layer - 4):
                found = hidden_activations(model, given, number)
                assert found.dtype == dtype
                assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)
    hidden = np.maximum(0, 2 * tanh @ model.coefs_[0] + model.intercepts_[0])
    assert_allclose(hidden_activations(model, rows, 3), hidden, rtol=1e-4, atol=1e-6)


@both_estimators
def test_hidden_activations_with_layers_of_other_parameters(Estimator):
    params = dict(dropout=0.1, input_dropout=0.1, normalization="rms", activation="tanh", **SMALL)
    model = Estimator(hidden_layer_sizes=(6, 4), **params).fit(X, labels(Estimator))
    blocks, a = model.network_.blocks, X
    for number in (1, 2):
        z = a @ blocks[f"W_{number}"] + blocks[f"b_{number}"]
        a = np.tanh(z / np.sqrt((z**2).mean(axis=1, keepdims=True) + 1e-5) * blocks[f"gain_{number}"])
        assert_allclose(hidden_activations(model, X, number - 1), a, rtol=1e-12)
    # the sums of residual connections, and after the last one the activation
    model = Estimator(hidden_layer_sizes=(4, 4, 4), residual=True, **params).fit(X, labels(Estimator))
    values = [hidden_activations(model, X, layer) for layer in range(3)]
    assert_allclose(values[0], X @ model.coefs_[0] + model.intercepts_[0], rtol=1e-12)
    assert np.abs(values[1]).max() > 1 > np.abs(values[2]).max()
    output = values[2] @ model.coefs_[-1] + model.intercepts_[-1]
    assert_allclose(output, model.network_.raw_prediction(X), rtol=1e-12)
    with pytest.raises(IndexError, match="one of the 3 hidden layers, got 3"):
        hidden_activations(model, X, 3)


def test_errors_of_hidden_activations():
    model = MLPRegressor(hidden_layer_sizes=(3,), **SMALL)
    with pytest.raises(NotFittedError):
        hidden_activations(model, X)
    model.fit(X, X[:, 0])
    for layer in (1, -2):
        with pytest.raises(IndexError, match=f"one of the 1 hidden layers, got {layer}"):
            hidden_activations(model, X, layer)
    for layer in (0.0, True, "last"):
        with pytest.raises(TypeError, match="layer must be an integer"):
            hidden_activations(model, X, layer)
    with pytest.raises(TypeError, match=r"got Pipeline.*pipeline\[-1\]"):
        hidden_activations(make_pipeline(model), X)
    with pytest.raises(ValueError, match="features"):
        hidden_activations(model, X[:, :2])


# The autoencoder

PLANE = np.random.default_rng(1).normal(size=(200, 2)) @ np.random.default_rng(2).normal(size=(2, 6))
QUICK = MLPRegressor(activation="tanh", solver="lbfgs", max_iter=300, random_state=0)


def test_a_linear_encoder_finds_the_plane():
    encoder = MLPEncoder(2, (), QUICK).fit(PLANE)
    error = PLANE - encoder.inverse_transform(encoder.transform(PLANE))
    # as good as PCA, which is exact here; L-BFGS ends where the gradient is small
    assert PCA(2).fit(PLANE).explained_variance_ratio_.sum() > 0.999999
    assert (error**2).sum() < 1e-4 * ((PLANE - PLANE.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_code_and_reconstruction(dtype):
    given = PLANE.astype(dtype)
    encoder = MLPEncoder(3, (7, 5), clone(QUICK).set_params(max_iter=5)).fit(given)
    assert encoder.regressor_.network_.layer_sizes == (6, 7, 5, 3, 5, 7, 6)
    assert encoder.regressor_.network_.activations == ("tanh", "tanh", "identity", "tanh", "tanh", "identity")
    code = encoder.transform(given)
    assert code.dtype == dtype
    assert_array_equal(code, hidden_activations(encoder.regressor_, given, 2))
    assert_allclose(encoder.inverse_transform(code), encoder.regressor_.predict(given), rtol=1e-5, atol=1e-6)
    copy = pickle.loads(pickle.dumps(encoder))
    assert_array_equal(copy.transform(given), code)
    weight = np.zeros(len(given))
    weight[:20] = 1
    weighted = MLPEncoder(3, (7, 5), encoder.regressor).fit(given, sample_weight=weight)
    assert (weighted.transform(given) != code).any()


@pytest.mark.parametrize("activation", ["prelu", Blend("silu"), ["tanh", "relu"], ["prelu", "identity"]])
def test_activations_of_the_regressor(activation):
    regressor = MLPRegressor(activation=activation, max_iter=5, random_state=0)
    encoder = MLPEncoder(3, (7, 5), regressor).fit(PLANE)
    first, second = activation if isinstance(activation, list) else [activation] * 2
    layers = [Dense(7, first), Dense(5, second), Dense(3), Dense(5, second), Dense(7, first)]
    network = clone(regressor).set_params(activation="relu", layers=layers).fit(PLANE, PLANE)
    assert_array_equal(encoder.regressor_.network_.params, network.network_.params)
    code = encoder.transform(PLANE)
    assert_array_equal(code, hidden_activations(network, PLANE, 2))
    assert_allclose(encoder.inverse_transform(code), network.predict(PLANE), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_features", [1, 6])
def test_the_reconstruction_of_a_gaussian_is_its_mean(n_features):
    given = PLANE[:, :n_features]
    encoder = MLPEncoder(2, (7,), MLPRegressor(loss="gaussian", max_iter=5, random_state=0)).fit(given)
    reconstructed = encoder.inverse_transform(encoder.transform(given))
    assert reconstructed.shape == given.shape
    expected = encoder.regressor_.predict(given).reshape(given.shape)
    assert_allclose(reconstructed, expected, rtol=1e-12, atol=1e-12)


def test_in_a_pipeline_with_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(PLANE, columns=list("abcdef"))
    pipeline = make_pipeline(StandardScaler(), MLPEncoder(2, 4, QUICK)).set_output(transform="pandas").fit(frame)
    code = pipeline.transform(frame)
    assert list(code.columns) == list(pipeline.get_feature_names_out()) == ["mlpencoder0", "mlpencoder1"]
    assert pipeline.inverse_transform(code).shape == frame.shape


def test_grid_search_reaches_the_settings():
    pipeline = make_pipeline(MLPEncoder(2, (4,), MLPRegressor(**SMALL)), MLPRegressor(**SMALL))
    grid = {"mlpencoder__input_dropout": [0.0, 0.2], "mlpencoder__regressor__alpha": [0.0, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(PLANE, PLANE[:, 0])
    assert len(search.cv_results_["params"]) == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_input_dropout_is_that_of_the_network_and_the_target_is_clean(dtype):
    given = PLANE.astype(dtype)
    regressor = MLPRegressor(max_iter=5, random_state=0)
    encoder = MLPEncoder(3, (7,), regressor, input_dropout=0.25).fit(given)
    layers = [Dropout(0.25), Dense(7, "relu"), Dense(3), Dense(7, "relu")]
    network = clone(regressor).set_params(layers=layers).fit(given, given)
    assert_array_equal(encoder.regressor_.network_.params, network.network_.params)
    # codes are made without it
    assert not encoder.encoder_.has_dropout
    code = encoder.transform(given)
    assert_array_equal(code, encoder.transform(given))
    assert_allclose(encoder.inverse_transform(code), network.predict(given), rtol=1e-5, atol=1e-6)
    plain = MLPEncoder(3, (7,), regressor).fit(given)
    assert_array_equal(plain.transform(given), MLPEncoder(3, (7,), regressor, 0.0).fit(given).transform(given))
    assert (plain.transform(given) != code).any()


def test_a_denoising_autoencoder_fills_in_what_is_missing():
    """The features of a plane tell each other: six numbers depend on two."""
    rng = np.random.default_rng(0)
    masked = np.where(rng.random(PLANE.shape) < 0.2, 0, PLANE)
    regressor = MLPRegressor(activation="tanh", learning_rate_init=0.01, max_iter=300, tol=0, random_state=0)
    errors = []
    for rate in (0.0, 0.2):
        encoder = MLPEncoder(4, (30,), regressor, input_dropout=rate).fit(PLANE)
        filled = encoder.inverse_transform(encoder.transform(masked / (1 - rate)))
        errors.append(((filled - PLANE) ** 2).mean())
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(n_components=0), "'n_components' parameter of MLPEncoder must be"),
        (dict(hidden_layer_sizes=(0,)), "hidden_layer_sizes must be > 0"),
        (dict(regressor=MLPRegressor(layers=[Scale(), Activation("tanh")])), "layers of the regressor must not be set"),
        (
            dict(regressor=MLPRegressor(normalization="rms")),
            "normalization of the regressor must not be set, got 'rms'",
        ),
        (dict(regressor=MLPRegressor(input_dropout=0.1)), "set the input_dropout of the MLPEncoder"),
        (dict(input_dropout=1.0), "'input_dropout' parameter of MLPEncoder must be a float in the range"),
        (dict(input_dropout=0.1, regressor=QUICK), "solver='lbfgs' cannot train with dropout"),
        (dict(regressor=MLPRegressor(activation=["tanh"] * 2)), "activation must be one name or 1 names"),
        (dict(regressor=3), "'regressor' parameter of MLPEncoder must be an instance of .*MLPRegressor"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        MLPEncoder(**params).fit(PLANE)


@parametrize_with_checks([MLPEncoder(1, (3,), MLPRegressor(max_iter=3, random_state=0))])
def test_estimator_checks(estimator, check):
    check(estimator)
