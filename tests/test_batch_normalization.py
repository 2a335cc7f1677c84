"""`normalization="batch"` of the estimators: running statistics in predictions, further training, averages, L-BFGS."""

import pickle
import re

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data

from fastbp import MLPClassifier, MLPRegressor, Network, fit_many, hidden_activations, slim
from fastbp.callbacks import Checkpoint
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.layers import BatchNorm, Dense, LayerNorm, RMSNorm
from fastbp.optimizers import ScheduleFree

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, size=(150, 5))
Y, LABELS = X[:, 0] * X[:, 1] / 10, np.digitize(X[:, 0], [0, 4])
SMALL = dict(normalization="batch", hidden_layer_sizes=(12, 8), max_iter=6, batch_size=32, random_state=0)


def make(Estimator=MLPRegressor, **params):
    return Estimator(**SMALL | params)


def fitted(Estimator=MLPRegressor, **params):
    return make(Estimator, **params).fit(X, target(Estimator))


def target(Estimator):
    return LABELS if Estimator is MLPClassifier else Y


def by_hand(model, X):
    """The raw prediction with the running statistics."""
    blocks, a = model.network_.blocks, X
    n_layers = len(model.coefs_)
    for i in range(1, n_layers + 1):
        z = a @ blocks[f"W_{i}"] + blocks[f"b_{i}"]
        if i < n_layers:
            n = (z - blocks[f"mean_{i}"]) / np.sqrt(blocks[f"variance_{i}"] + 1e-5)
            a = np.maximum(n * blocks[f"gamma_{i}"] + blocks[f"beta_{i}"], 0)
    return z


def statistics(model):
    return {name: b.copy() for name, b in model.network_.blocks.items() if name.startswith(("mean", "variance"))}


def statistics_of_rows(model, X):
    """Mean and unbiased variance of the pre-activations when all rows are one batch."""
    blocks, a, found = model.network_.blocks, X, {}
    for i in range(1, len(model.coefs_)):
        z = a @ blocks[f"W_{i}"] + blocks[f"b_{i}"]
        found |= {f"mean_{i}": z.mean(0), f"variance_{i}": z.var(0, ddof=1)}
        n = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
        a = np.maximum(n * blocks[f"gamma_{i}"] + blocks[f"beta_{i}"], 0)
    return found


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_predictions_use_the_running_statistics(Estimator):
    model = fitted(Estimator)
    assert_allclose(model.network_.raw_prediction(X), by_hand(model, X), rtol=1e-10)
    # row by row: no row depends on the others
    assert_allclose(model.predict(X[:1]), model.predict(X)[:1])
    assert_array_equal(hidden_activations(model, X[:3]), hidden_activations(model, X)[:3])
    y = target(Estimator)
    assert gradient_check(model, X[:10], y[:10]).passed
    names = [group.name for group in gradient_check(model, X[:10], y[:10]).groups]
    assert "gamma_1" in names
    assert not {"mean_1", "variance_1"} & set(names)
    trace = backprop_trace(model, X[:10], y[:10])
    assert_allclose(trace.gradient, model.network_.loss_and_gradient(X[:10], trace_target(Estimator, y[:10]))[1])


def trace_target(Estimator, y):
    return y if Estimator is MLPClassifier else y[:, None]


def test_statistics_move_in_every_kind_of_training():
    model = fitted()
    seen = [statistics(model)]
    for train in (
        lambda: model.partial_fit(X, Y),
        lambda: model.set_params(warm_start=True).fit(X, Y),
        lambda: model.set_params(warm_start=False).fit(X, Y),
    ):
        train()
        seen.append(statistics(model))
    for name in seen[0]:
        assert (seen[1][name] != seen[0][name]).all()
        assert (seen[2][name] != seen[1][name]).all()
        assert_array_equal(seen[3][name], seen[0][name])
    # with the rate 0 only the statistics change, and come to those of the data
    model = make(max_iter=200, learning_rate_init=1e-300, tol=0, n_iter_no_change=1000, batch_size=150).fit(X, Y)
    for name, expected in statistics_of_rows(model, X).items():
        assert_allclose(statistics(model)[name], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "params",
    [dict(ema_decay=0.9), dict(swa_start=0.5), dict(early_stopping=True), dict(solver="lbfgs"), dict(dtype="float32")],
    ids=["ema", "swa", "early_stopping", "lbfgs", "float32"],
)
def test_copies_have_the_statistics(params, tmp_path):
    model = fitted(**params)
    assert np.isfinite(model.predict(X)).all()
    assert model.score(X, Y) > -1  # predictions fit the statistics
    for other in (pickle.loads(pickle.dumps(model)), slim(model), fit_many([make(**params)], X, Y)[0]):
        assert_array_equal(other.predict(X), model.predict(X))
    if "solver" not in params:
        saved = tmp_path / "model.pkl"
        make(**params, callbacks=[Checkpoint(saved)]).fit(X, Y)
        assert_array_equal(pickle.loads(saved.read_bytes()).predict(X), model.predict(X))


def test_best_weights_are_restored_with_their_statistics():
    model = make(early_stopping=True, max_iter=60, n_iter_no_change=5, learning_rate_init=0.05).fit(X, Y)
    assert model.best_iteration_ < model.n_iter_
    short = make(early_stopping=True, max_iter=model.best_iteration_, n_iter_no_change=500, learning_rate_init=0.05)
    assert_array_equal(short.fit(X, Y).network_.params, model.network_.params)


def test_transfer():
    source = fitted()
    model = make(max_iter=1, learning_rate_init=1e-300, init_from=source, batch_size=150).fit(X, Y)
    for name, block in statistics(source).items():
        assert (statistics(model)[name] != block).all()
        assert_allclose(statistics(model)[name], 0.9 * block + 0.1 * statistics_of_rows(source, X)[name], rtol=1e-10)
    # weights and biases only: the statistics are the initial ones
    model = make(max_iter=1, learning_rate_init=1e-300, init_from=(source.coefs_, source.intercepts_), batch_size=150)
    assert_allclose(model.fit(X, Y).coefs_[0], source.coefs_[0])
    assert (statistics(model)["variance_1"] != statistics(source)["variance_1"]).all()
    frozen = make(frozen_layers=[0], init_from=source).fit(X, Y)
    assert_array_equal(frozen.coefs_[0], source.coefs_[0])
    assert (statistics(frozen)["mean_1"] != statistics(source)["mean_1"]).all()


def test_weights_of_ones_own():
    model = fitted()
    before = model.predict(X)
    model.coefs_ = [W.copy() for W in model.coefs_]
    assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("weight_init", ["he_normal", "orthogonal", "data_dependent"])
def test_initializers(weight_init):
    model = make(weight_init=weight_init, max_iter=1, learning_rate_init=1e-300, batch_size=150).fit(X, Y)
    for name, expected in statistics_of_rows(model, X).items():
        first = 0.9 * name.startswith("variance")
        assert_allclose(statistics(model)[name], first + 0.1 * expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_averages_of_epochs_get_statistics_of_their_own(early_stopping):
    # one batch of all rows, so that they can be computed here
    model = make(swa_start=0.5, batch_size=150, learning_rate_init=0.05, shuffle=False, max_iter=20)
    if early_stopping:
        model.set_params(early_stopping=True, restore_best=False, n_iter_no_change=100).fit(X, Y, X_val=X, y_val=Y)
    else:
        model.fit(X, Y)
    for name, expected in statistics_of_rows(model, X).items():
        assert_allclose(statistics(model)[name], expected, rtol=1e-10)


def test_schedule_free_gets_statistics_of_the_average():
    model = make(solver=ScheduleFree(), batch_size=150, learning_rate_init=0.05, shuffle=False).fit(X, Y)
    for name, expected in statistics_of_rows(model, X).items():
        assert_allclose(statistics(model)[name], expected, rtol=1e-10)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_lbfgs_minimizes_the_loss_of_all_rows_as_one_batch(n_threads, monkeypatch):
    model = make(solver="lbfgs", alpha=0.0, max_iter=100, n_threads=n_threads, batch_size="auto").fit(X, Y)
    assert model.score(X, Y) > 0.99
    for name, expected in statistics_of_rows(model, X).items():
        assert_allclose(statistics(model)[name], expected, rtol=1e-10)
    # the loss with statistics of the batch differs from that of predictions by n / (n - 1) in the variance
    assert_allclose(model.loss_, np.mean((model.predict(X) - Y) ** 2) / 2, rtol=0.1)
    one = make(solver="lbfgs", alpha=0.0, max_iter=100, n_threads=1, batch_size="auto").fit(X, Y)
    assert_array_equal(one.network_.params, model.network_.params)


def test_one_row():
    for params in (dict(), dict(solver="lbfgs")):
        model = make(**params, batch_size=1).fit(X[:1], Y[:1])
        assert_array_equal(statistics(model)["variance_1"], 1)
        assert np.isfinite(model.predict(X)).all()
    model = fitted()
    before = statistics(model)
    model.set_params(batch_size=1).partial_fit(X[:1], Y[:1])
    for name, block in statistics(model).items():
        assert_array_equal(block, before[name])


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_weights_are_numbers_of_rows(Estimator):
    estimator = Estimator(normalization="batch", max_iter=20, random_state=0)
    check_sample_weight_equivalence_on_dense_data(Estimator.__name__, estimator)


def test_it_helps_where_layers_are_badly_scaled():
    data, labels = load_digits(return_X_y=True)
    params = dict(hidden_layer_sizes=(32,) * 10, activation="logistic", max_iter=30, random_state=0, alpha=0)
    scores = [
        MLPClassifier(normalization=kind, **params).fit(data[:1200], labels[:1200]).score(data[1200:], labels[1200:])
        for kind in (None, "batch")
    ]
    assert scores[0] < 0.3 < 0.8 < scores[1]


def test_sparse_rows_and_parts():
    sparse = sp.csr_array(np.where(X > 2, X, 0))
    assert np.isfinite(fitted().fit(sparse, Y).predict(sparse)).all()
    layers = [BatchNorm(), Dense(3, "tanh"), BatchNorm()]
    network = fitted(normalization=None, layers=layers).network_
    assert_allclose(network.part(3, 4).forward(network.part(0, 3).forward(X)), network.forward(X), rtol=1e-12)
    assert_allclose(network.part(1, 4).blocks["mean_1"], network.blocks["mean_2"])
    with pytest.raises(ValueError, match="BatchNorm reads it too"):
        make(layers=layers, normalization=None).fit(sparse, Y)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("momentum", 0, "momentum must be a finite number > 0, got 0"),
        ("momentum", 1.5, "momentum must be a number > 0 and <= 1, got 1.5"),
        ("momentum", np.nan, "momentum must be a finite number > 0"),
        ("momentum", True, "momentum must be a finite number > 0"),
        ("epsilon", 0, "epsilon must be a finite number > 0, got 0"),
        ("epsilon", "1e-5", "epsilon must be a finite number > 0"),
        ("learning_rate_factor", -1, "learning_rate_factor must be a finite number >= 0, got -1"),
    ],
)
def test_wrong_fields(field, value, message):
    with pytest.raises(ValueError, match=message):
        BatchNorm(**{field: value})


@pytest.mark.parametrize("Norm", [BatchNorm, LayerNorm, RMSNorm])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_epsilon_that_is_zero_in_the_dtype(Norm, dtype):
    """The smallest one that is allowed trains on a constant column, or on constant rows; one below it is refused."""
    constant = np.where(np.arange(5) == 2, 1.0, X) if Norm is BatchNorm else np.where(np.arange(150)[:, None] % 2, 0, X)
    smallest = float(np.finfo(dtype).tiny)
    layers = [Norm(epsilon=smallest), Dense(8, "relu")]
    model = make(normalization=None, layers=layers, dtype=dtype).fit(constant, Y)
    assert np.isfinite(model.predict(constant)).all()
    message = rf"is too small for {dtype}, in which it must be in \[{smallest:.3g}, .*\]: use another one, such as 1e-5"
    with pytest.raises(ValueError, match=message):
        make(normalization=None, layers=[Norm(epsilon=0.9 * smallest)], dtype=dtype).fit(constant, Y)


@pytest.mark.parametrize(("epsilon", "size"), [(1e-60, "small"), (1e300, "large")])
def test_a_network_of_another_dtype_checks_epsilon(epsilon, size):
    assert Network(layers=[BatchNorm(epsilon=np.float32(0.5)), Dense(1)], n_features=5).dtype == np.float64
    network = Network(layers=[BatchNorm(epsilon=epsilon), Dense(1)], n_features=5)
    assert network.astype("float64").dtype == np.float64
    with pytest.raises(ValueError, match=f"epsilon={re.escape(repr(epsilon))} of a normalization is too {size} for"):
        network.astype("float32")


def test_another_momentum_under_warm_start():
    layers = [Dense(8, "tanh"), BatchNorm()]
    model = make(normalization=None, layers=layers, warm_start=True).fit(X, Y)
    before = statistics(model)
    model.set_params(layers=[Dense(8, "tanh"), BatchNorm(1.0)], max_iter=1, batch_size=150, learning_rate_init=1e-300)
    model.fit(X, Y)
    z = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    assert_allclose(statistics(model)["mean_1"], z.mean(0), rtol=1e-10)
    assert (before["mean_1"] != statistics(model)["mean_1"]).any()
