"""Averages of the weights: `training/averaging.py`, `ema_decay` and `swa_start` of the estimators."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import fastbp.kernels.slicing
import fastbp.threads
import fastbp.training.trainer
from case_names import case_name
from fastbp import MLPClassifier, MLPRegressor, slim
from fastbp.data import make_data
from fastbp.kernels.training import COMPLETED
from fastbp.network import Network
from fastbp.optimizers import OPTIMIZERS
from fastbp.training import EpochAverage, MovingAverage, OptimizerState
from reference import moving_average

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X[:, 0] * X[:, 1]
LABELS = np.digitize(Y, [-0.3, 0.3])
SMALL = dict(hidden_layer_sizes=(5,), activation="tanh", max_iter=8, batch_size=16, random_state=0)
FAST = dict(learning_rate_init=0.03)
averages = pytest.mark.parametrize("average", [dict(ema_decay=0.9), dict(swa_start=0.5)], ids=["ema", "swa"])


def fitted(Estimator=MLPRegressor, **params):
    return Estimator(**SMALL | FAST | params).fit(X, LABELS if Estimator is MLPClassifier else Y)


class Weights:
    """Notes the weights that callbacks see, and edits them in one epoch on request."""

    def __init__(self, edit_in=None):
        self.edit_in, self.seen = edit_in, []

    def on_epoch_end(self, state):
        self.seen.append(state.network.params.copy())
        if state.epoch == self.edit_in:
            state.network.params[...] *= 0.5


class Interrupt:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, state):
        if state.epoch == self.epoch:
            raise KeyboardInterrupt


# In the compiled loop


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", [name for name, cls in OPTIMIZERS.items() if not cls.averages])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("how", ["updates", "slices", "parts of rows"])
def test_the_average_of_every_step(how, n_threads, solver, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    width = 5 if how != "parts of rows" else 300
    network = Network([3, width, 260 if width == 300 else 2], "tanh", dtype=dtype, random_state=0, n_threads=n_threads)
    n_outputs = network.n_outputs
    targets = RNG.normal(size=(len(X), n_outputs))
    data = make_data(X.astype(dtype), targets.astype(dtype), None, n_outputs, network.dtype)
    if how == "slices":
        for name, value in dict(LARGEST_STEP=0, SLICE_COST=0, FEWEST_SLICE_ROWS=8).items():
            monkeypatch.setattr(fastbp.kernels.slicing, name, value)
    loop = network.training_loop(data, 16, indexed=False)
    assert (loop.plan.capacity < 16) == (how == "slices")
    optimizer = OptimizerState(OPTIMIZERS[solver](), network.n_params, network.dtype)
    average = MovingAverage(network.params, 0.8)
    seen = []
    for _ in range(3):
        optimizer.attach(loop, 0.01)
        average.attach(loop)
        assert loop.train(None, None, 1.0, np.full(1, 0.01), np.empty(1))[1] == COMPLETED
        optimizer.n_steps = loop.n_steps
        average.after_steps(loop.n_steps)
        seen.append(average.params.copy())
    # the same steps, one batch at a time
    other = Network([3, width, n_outputs], "tanh", dtype=dtype, random_state=0, n_threads=n_threads)
    optimizer = OptimizerState(OPTIMIZERS[solver](), other.n_params, other.dtype)
    loop, weights = other.training_loop(data, 16, indexed=True), []
    for step in range(12):
        begin = step % 4 * 16
        optimizer.attach(loop, 0.01)
        loop.train(np.arange(begin, min(begin + 16, 60)), None, 1.0, np.full(1, 0.01), np.empty(1))
        optimizer.n_steps = loop.n_steps
        weights.append(other.params.astype(float))
    assert_array_equal(network.params, other.params)
    for epoch, actual in enumerate(seen):
        # roundings of at most 12 steps, each of a few ulp of weights below 1 in size
        assert_allclose(actual, moving_average(weights[: 4 * epoch + 4], 0.8), rtol=0, atol=50 * np.finfo(dtype).eps)
    assert average.n == 12


def test_wrong_averages():
    network = Network([3, 5, 2], "tanh", random_state=0)
    data = make_data(X, RNG.normal(size=(60, 2)), None, 2, network.dtype)
    loop = network.training_loop(data, 16, indexed=False)
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got 1"):
        loop.set_average(network.params.copy(), 1.0)
    with pytest.raises(ValueError, match="average must"):
        loop.set_average(network.params[1:].copy(), 0.5)


# In the estimators


@pytest.mark.parametrize("Estimator", [MLPRegressor, MLPClassifier])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_predictions_are_those_of_the_average(Estimator, solver):
    raw = fitted(Estimator, solver=solver, batch_size=60)  # one step in an epoch
    callback = Weights()
    clone(raw).set_params(callbacks=callback).fit(X, LABELS if Estimator is MLPClassifier else Y)
    model = fitted(Estimator, solver=solver, batch_size=60, ema_decay=0.7)
    # eight steps' roundings
    assert_allclose(model.network_.params, moving_average(callback.seen, 0.7), rtol=0, atol=1e-14)
    assert_array_equal(model.raw_params_, raw.network_.params)
    assert model.loss_curve_ == raw.loss_curve_
    assert np.abs(model.coefs_[0] - raw.coefs_[0]).max() > 1e-3
    assert raw.raw_params_ is None


@pytest.mark.parametrize("swa_start", [0.0, 0.25, 0.5, 0.8, 0.99])
def test_the_mean_of_the_last_epochs(swa_start):
    callback = Weights()
    raw = fitted(callbacks=callback)
    model = fitted(swa_start=swa_start)
    n_epochs = {0.0: 8, 0.25: 6, 0.5: 4, 0.8: 2, 0.99: 1}[swa_start]
    assert_allclose(model.network_.params, np.mean(callback.seen[-n_epochs:], axis=0), rtol=0, atol=1e-14)
    assert_array_equal(model.raw_params_, raw.network_.params)
    assert model.loss_curve_ == raw.loss_curve_


def test_no_decay_is_the_last_step():
    # average + (w - average) is w up to the rounding of the difference
    assert_allclose(fitted(ema_decay=0.0).network_.params, fitted().network_.params, rtol=0, atol=1e-15)


@averages
@pytest.mark.parametrize("params", [dict(n_threads=2), dict(callbacks=Weights()), dict(verbose=True)], ids=case_name)
def test_what_changes_nothing(average, params, monkeypatch, capsys):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    model, other = fitted(**average), fitted(**average | params)
    assert_array_equal(model.network_.params, other.network_.params)
    assert_array_equal(model.raw_params_, other.raw_params_)
    monkeypatch.setattr(fastbp.training.trainer, "EPOCHS_AT_ONCE", 3)
    assert_array_equal(model.network_.params, fitted(**average).network_.params)


@averages
def test_callbacks_see_the_average(average):
    callback = Weights()
    model = fitted(**average, callbacks=callback)
    assert_array_equal(callback.seen[-1], model.network_.params)
    if "ema_decay" in average:
        assert_array_equal(callback.seen[3], fitted(**average, max_iter=4).network_.params)


class Estimators:
    """Keeps the estimators that callbacks see."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, state):
        self.seen.append(state.estimator)


@averages
def test_callbacks_see_an_estimator_with_the_average(average):
    callback = Estimators()
    model = fitted(**average, callbacks=callback)
    weights, raw = callback.seen[5].network_.params.copy(), callback.seen[5].raw_params_.copy()
    assert_array_equal(callback.seen[-1].network_.params, model.network_.params)
    assert_array_equal(callback.seen[-1].raw_params_, model.raw_params_)
    assert np.abs(weights - raw).max() > 1e-4
    # training of the copy continues from its raw weights, and changes no other
    callback.seen[5].set_params(callbacks=None, ema_decay=None, swa_start=None, learning_rate_init=1e-300)
    callback.seen[5].set_params(warm_start=True).fit(X, Y)
    assert_array_equal(callback.seen[5].network_.params, raw)
    assert_array_equal(callback.seen[-1].network_.params, model.network_.params)


@averages
def test_an_edit_in_a_callback(average):
    callback = Weights(edit_in=6)
    model = fitted(**average, callbacks=callback)
    plain = Weights(edit_in=6)
    fitted(**average, callbacks=plain)
    assert_array_equal(callback.seen, plain.seen)
    # the average begins anew: it is near the edited weights and not between them and those before
    before, after = np.linalg.norm(callback.seen[5]), np.linalg.norm(callback.seen[6])
    assert after < 0.75 * before
    assert np.linalg.norm(model.raw_params_ - callback.seen[-1]) < 0.5 * np.linalg.norm(model.raw_params_)


@averages
def test_early_stopping_scores_the_average(average):
    callback = Weights()
    params = dict(early_stopping=True, n_iter_no_change=20, max_iter=12)
    model = fitted(**average, **params, callbacks=callback)
    best = int(np.argmax(model.validation_scores_))
    assert_array_equal(model.network_.params, callback.seen[best])
    assert model.raw_params_.shape == model.network_.params.shape


def test_an_average_of_epochs_runs_to_its_end():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        assert fitted(swa_start=0.75, tol=10.0, n_iter_no_change=1, max_iter=20).n_iter_ == 20
    assert fitted(ema_decay=0.75, tol=10.0, n_iter_no_change=1, max_iter=20).n_iter_ < 20


@pytest.mark.parametrize("params", [dict(solver="adam"), dict(solver="sgd", early_stopping=True)], ids=str)
def test_an_average_beside_a_schedule_that_waits(params):
    # 'adaptive' is 'constant' for adam, and early stopping has patience
    assert fitted(learning_rate="adaptive", swa_start=0.5, **params).raw_params_ is not None


def test_lbfgs_has_no_average():
    model = fitted(solver="lbfgs", ema_decay=0.9)
    assert model.raw_params_ is None
    assert_array_equal(model.network_.params, fitted(solver="lbfgs").network_.params)


# How runs continue


def test_partial_fit_continues_the_average():
    params = SMALL | FAST | dict(shuffle=False)
    whole = MLPRegressor(**params | dict(max_iter=6, ema_decay=0.9)).fit(X, Y)
    model = MLPRegressor(**params, ema_decay=0.9)
    for epoch in range(6):
        model.partial_fit(X, Y)
        if epoch == 2:
            model = pickle.loads(pickle.dumps(model))
    assert_array_equal(model.network_.params, whole.network_.params)
    assert_array_equal(model.raw_params_, whole.raw_params_)
    raw = MLPRegressor(**params)
    for _ in range(6):
        raw.partial_fit(X, Y)
    assert_array_equal(model.raw_params_, raw.network_.params)
    # without an average the raw weights go on
    model.set_params(ema_decay=None).partial_fit(X, Y)
    assert_array_equal(model.network_.params, raw.partial_fit(X, Y).network_.params)
    assert model.raw_params_ is None


@averages
def test_a_warm_start_continues_from_the_raw_weights(average):
    model, raw = fitted(**average, warm_start=True), fitted(warm_start=True)
    for one in (model, raw):
        one.fit(X, Y)
    assert_array_equal(model.raw_params_, raw.network_.params)
    # and with a new average: that of the second run alone
    callback = Weights()
    raw = fitted(warm_start=True)
    raw.set_params(callbacks=callback).fit(X, Y)
    if "swa_start" in average:
        assert_allclose(model.network_.params, np.mean(callback.seen[-4:], axis=0), rtol=0, atol=1e-14)


@averages
def test_a_warm_start_continues_from_the_raw_running_statistics(average):
    model, raw = (fitted(normalization="batch", warm_start=True, **params).fit(X, Y) for params in (average, {}))
    assert_array_equal(model.raw_params_, raw.network_.params)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
def test_a_change_of_the_dtype_continues_from_the_raw_weights(dtypes):
    model, raw = (MLPRegressor(**SMALL | FAST, ema_decay=decay, dtype=dtypes[0]) for decay in (0.9, None))
    for one in (model, raw):
        one.partial_fit(X, Y).set_params(dtype=dtypes[1]).partial_fit(X, Y)
    assert_array_equal(model.raw_params_, raw.network_.params)
    assert model.raw_params_.dtype == dtypes[1]


@averages
def test_edited_weights_are_continued_from(average):
    model, other = fitted(**average, warm_start=True), fitted(**average, warm_start=True)
    for one in (model, other):
        one.coefs_[0][...] *= 0.5
    other._average = None
    for one in (model, other):
        one.fit(X, Y)
    assert_array_equal(model.network_.params, other.network_.params)


@averages
def test_a_failed_fit_changes_nothing(average):
    model = fitted(**average, warm_start=True)
    before = model.network_.params.copy(), model.raw_params_.copy()
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, Y, np.full(60, -1.0))
    with pytest.raises(ZeroDivisionError):
        model.set_params(learning_rate=lambda progress: 1 / (0.5 - progress)).fit(X, Y)
    assert_array_equal(model.network_.params, before[0])
    assert_array_equal(model.raw_params_, before[1])


@averages
@pytest.mark.parametrize("epoch", [2, 6])
def test_an_interrupt(average, epoch):
    model = MLPRegressor(**SMALL | FAST | average, callbacks=Interrupt(epoch))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    raw = fitted(max_iter=epoch)
    if "swa_start" in average and epoch == 2:  # before the average
        assert model.raw_params_ is None
        assert_array_equal(model.network_.params, raw.network_.params)
    else:
        assert_array_equal(model.raw_params_, raw.network_.params)
        assert np.abs(model.network_.params - model.raw_params_).max() > 1e-4


@averages
def test_copies(average):
    model = fitted(MLPClassifier, **average)
    other = pickle.loads(pickle.dumps(model))
    assert_array_equal(other.raw_params_, model.raw_params_)
    assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    assert_array_equal(clone(model).fit(X, LABELS).network_.params, model.network_.params)
    small = slim(model)
    assert small.raw_params_ is None
    assert_array_equal(small.predict_proba(X), model.predict_proba(X))
    for one in (model, other):  # the copy is not changed by training of the model
        one.set_params(warm_start=True).fit(X, LABELS)
    assert_array_equal(other.raw_params_, model.raw_params_)


def test_grid_search():
    grid = [{"ema_decay": [None, 0.9]}, {"swa_start": [0.5, 0.8], "learning_rate": ["cosine", "constant"]}]
    search = GridSearchCV(MLPClassifier(**SMALL), grid, cv=2).fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        (dict(ema_decay=1.0), InvalidParameterError, "'ema_decay' parameter"),
        (dict(ema_decay=-0.1), InvalidParameterError, "'ema_decay' parameter"),
        (dict(swa_start=1.0), InvalidParameterError, "'swa_start' parameter"),
        (dict(swa_start="late"), InvalidParameterError, "'swa_start' parameter"),
        (dict(ema_decay=0.9, swa_start=0.5), ValueError, "two ways to average the weights: set one of them to None"),
        (dict(ema_decay=0.9, solver="schedule_free"), ValueError, "gives an average of the weights already; got ema"),
        (dict(swa_start=0.5, solver="schedule_free"), ValueError, "gives an average of the weights already; got ema"),
        (dict(swa_start=0.5, learning_rate="plateau"), ValueError, "learning_rate='plateau' falls when patience runs"),
        (dict(swa_start=0.5, learning_rate="adaptive", solver="sgd"), ValueError, "choose another learning_rate, or"),
    ],
)
def test_bad_input(params, error, match):
    model = MLPRegressor(**SMALL, **params)
    with pytest.raises(error, match=match):
        model.fit(X, Y)
    assert not hasattr(model, "coefs_")


def test_partial_fit_does_not_know_the_last_epochs():
    with pytest.raises(ValueError, match=r"partial_fit does not support swa_start=0.5, .* ema_decay"):
        MLPRegressor(**SMALL, swa_start=0.5).partial_fit(X, Y)


def test_arrays_of_a_pickle_may_be_read_only():
    average = MovingAverage(np.zeros(3), 0.5)
    average.params.flags.writeable = average.raw.flags.writeable = False
    other = pickle.loads(pickle.dumps(average, protocol=5))
    assert other.params.flags.writeable
    assert other.raw.flags.writeable


def test_copies_have_arrays_of_their_own():
    average = EpochAverage(np.zeros(3), 2)
    other = average.copy()
    other.params[...] = other.raw[...] = 1
    assert average.params.sum() == average.raw.sum() == 0
    assert other.begin == 2


def test_the_average_is_that_of_weights_with_a_limited_norm():
    # one step in each epoch, so that callbacks see the average of all steps; the raw weights come from a fit without it
    params = dict(max_norm=0.4, batch_size=60, max_iter=5)
    seen = []
    for n_iter in range(1, 6):
        seen.append(fitted(**params | dict(max_iter=n_iter)).network_.params)
    average = fitted(**params, ema_decay=0.7).network_.params
    weights = 0.7 ** np.arange(4, -1, -1)
    # rounding of five steps
    assert_allclose(average, np.average(seen, axis=0, weights=weights), rtol=0, atol=1e-14)
    assert np.linalg.norm(fitted(**params).coefs_[0], axis=0).max() > 0.39
