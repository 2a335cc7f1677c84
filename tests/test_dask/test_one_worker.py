"""With one worker a fit on a cluster is that on one machine, to the last bit."""

import gc
import pickle
import time
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone

from fastbp import Callback, MLPClassifier, MLPRegressor
from fastbp.callbacks import Checkpoint
from fastbp.dask import DaskMLPClassifier, DaskMLPRegressor
from fastbp.dask.rounds import worker_threads
from fastbp.layers import BatchNorm, Dense
from fastbp.optimizers import Muon, ScheduleFree

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 330
RNG = np.random.RandomState(0)
X = RNG.randn(N, 4)
LABELS = np.array(["one", "three", "two"])[RNG.randint(3, size=N)]
NUMBERS = X @ [1, 2, 3, 4] + RNG.randn(N)
WEIGHTS = RNG.rand(N)
LOCAL = {DaskMLPClassifier: MLPClassifier, DaskMLPRegressor: MLPRegressor}
COMMON = dict(hidden_layer_sizes=(6,), batch_size=32, max_iter=4, random_state=0)


def collection(array, chunks=(100, 0, 150, 80)):
    """A Dask array with chunks of these rows, one of them empty."""
    return da.from_array(array, chunks=(chunks, *[-1] * (array.ndim - 1)))


def assert_same_model(model, local):
    for ours, theirs in zip([*model.coefs_, *model.intercepts_], [*local.coefs_, *local.intercepts_], strict=True):
        assert_array_equal(ours, theirs)
    assert model.loss_curve_ == local.loss_curve_
    assert (model.t_, model.n_iter_, model.best_loss_) == (local.t_, local.n_iter_, local.best_loss_)
    assert model.history_["learning_rate"] == local.history_["learning_rate"]


CASES = {
    "adam": {},
    "float32": dict(dtype="float32"),
    "momentum and a schedule of steps": dict(solver="sgd", learning_rate="cosine", warmup=1),
    "adaptive": dict(solver="sgd", learning_rate="adaptive", tol=0.5, n_iter_no_change=1),
    "dropout": dict(dropout=0.2, weight_decay=0.01, weight_decay_schedule="cosine"),
    "mixup": dict(mixup_alpha=0.3),
    "moving average": dict(ema_decay=0.9),
    "average of epochs": dict(swa_start=0.5, layers=[Dense(6), BatchNorm()], hidden_layer_sizes=(100,)),
    "as they stand": dict(shuffle=False),
    "schedule-free": dict(solver=ScheduleFree(), layers=[Dense(6), BatchNorm()], hidden_layer_sizes=(100,)),
    "muon": dict(solver=Muon(), hidden_layer_sizes=(6, 6), clip_norm=0.1),
    "sync_every has no effect": dict(sync_every=3),
    "data-dependent": dict(weight_init="data_dependent"),
    "stops": dict(max_iter=100, tol=0.1, n_iter_no_change=2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("Estimator", LOCAL, ids=lambda cls: cls.__name__)
def test_one_worker_gives_the_model_of_fit(Estimator, case, one_worker):
    y = LABELS if Estimator is DaskMLPClassifier else NUMBERS
    own = {name: value for name, value in CASES[case].items() if name == "sync_every"}
    params = COMMON | {name: value for name, value in CASES[case].items() if name not in own}
    local = LOCAL[Estimator](**params).fit(X, y)
    model = Estimator(**params, **own)
    model.client = one_worker
    assert_same_model(model.fit(collection(X), collection(y)), local)
    assert_array_equal(model._random_state.get_state()[1], local._random_state.get_state()[1])


@pytest.mark.parametrize("balanced", [False, True])
def test_sample_weights_and_class_weights(balanced, one_worker):
    params = COMMON | dict(class_weight="balanced" if balanced else {"two": 3.0})
    local = MLPClassifier(**params).fit(X, LABELS, WEIGHTS)
    model = DaskMLPClassifier(**params)
    model.client = one_worker
    assert_same_model(model.fit(collection(X), collection(LABELS), collection(WEIGHTS)), local)
    arguments = collection(X), collection(LABELS), collection(WEIGHTS)
    assert model.score(*arguments) == pytest.approx(local.score(X, LABELS, WEIGHTS), rel=1e-12)


TWO_DIMENSIONS = {
    "indicators": RNG.randint(2, size=(N, 3)),
    "probabilities": RNG.dirichlet([1, 1, 1], N),
    "columns of labels": np.column_stack([RNG.randint(3, size=N), np.arange(N) % 7 + (np.arange(N) > N - 10)]),
}


TWO_DIMENSIONS["columns of floats"] = TWO_DIMENSIONS["columns of labels"].astype(float)


@pytest.mark.parametrize("form", TWO_DIMENSIONS)
def test_targets_of_two_dimensions(form, one_worker):
    y = TWO_DIMENSIONS[form]
    model = DaskMLPClassifier(**COMMON)
    model.client = one_worker
    local = MLPClassifier(**COMMON).fit(X, y)
    assert_same_model(model.fit(collection(X), collection(y)), local)
    assert model.score(collection(X), collection(y)) == pytest.approx(local.score(X, y), rel=1e-12)
    ours, theirs = model.predict_proba(collection(X)), local.predict_proba(X)
    for lazy, array in zip(ours, theirs, strict=True) if form.startswith("columns") else [(ours, theirs)]:
        assert_array_equal(lazy.compute(scheduler="sync"), array)


def test_regression_on_several_columns_and_sparse_blocks(one_worker):
    y = np.column_stack([NUMBERS, X[:, 0] ** 2])
    sparse = csr_array(np.where(X > 0, X, 0))
    bounds = [0, 100, 100, 330]
    blocks = [dask.delayed(sparse[i:j]) for i, j in pairwise(bounds)]
    targets = [dask.delayed(y[i:j]) for i, j in pairwise(bounds)]
    model = DaskMLPRegressor(**COMMON)
    model.client = one_worker
    local = MLPRegressor(**COMMON).fit(sparse, y)
    assert_same_model(model.fit(blocks, targets), local)
    assert model.score(blocks, targets) == pytest.approx(local.score(sparse, y), rel=1e-12)


def test_a_generator_goes_on(one_worker):
    """Two fits that draw from one generator, and a warm start."""
    ours, theirs = np.random.RandomState(4), np.random.RandomState(4)
    params = COMMON | dict(warm_start=True)
    model, local = (
        DaskMLPRegressor(**params | {"random_state": ours}),
        MLPRegressor(**params | {"random_state": theirs}),
    )
    model.client = one_worker
    for _ in range(2):
        assert_same_model(model.fit(collection(X), collection(NUMBERS)), local.fit(X, NUMBERS))


@pytest.mark.parametrize("on_cluster", [True, False])
def test_early_stopping_on_given_rows(on_cluster, one_worker):
    params = COMMON | dict(early_stopping=True, max_iter=60, n_iter_no_change=3, learning_rate_init=0.1)
    rows = X[:90] + 0.1, LABELS[:90], WEIGHTS[:90]
    local = MLPClassifier(**params).fit(X, LABELS, X_val=rows[0], y_val=rows[1], sample_weight_val=rows[2])
    given = [collection(array, (40, 50)) for array in rows] if on_cluster else rows
    model = DaskMLPClassifier(**params)
    model.client = one_worker
    model.fit(collection(X), collection(LABELS), X_val=given[0], y_val=given[1], sample_weight_val=given[2])
    assert 3 < model.n_iter_ < 60
    assert_same_model(model, local)
    assert model.validation_scores_ == local.validation_scores_
    assert model.validation_loss_curve_ == local.validation_loss_curve_
    assert model.best_iteration_ == local.best_iteration_


def test_a_checkpoint_is_resumed(one_worker, tmp_path):
    params = COMMON | dict(outer_momentum=0.5, outer_learning_rate=0.8, sync_every=4)
    model = DaskMLPClassifier(**params, callbacks=Checkpoint(tmp_path / "{epoch}"))
    model.client = one_worker
    model.fit(collection(X), collection(LABELS))
    resumed = clone(model).set_params(callbacks=None)
    resumed.client = one_worker
    resumed.fit(collection(X), collection(LABELS), resume_from=tmp_path / "2")
    assert_same_model(resumed, model)
    assert model.loss_curve_ != MLPClassifier(**COMMON).fit(X, LABELS).loss_curve_  # the outer step has an effect


def test_a_local_model_and_pickles(one_worker):
    model = DaskMLPClassifier(**COMMON)
    model.client = one_worker
    model.fit(collection(X), collection(LABELS))
    assert model.client is one_worker
    assert vars(pickle.loads(pickle.dumps(model))).get("_client") is None
    local = model.to_local()
    assert type(local) is MLPClassifier
    assert local.get_params() == MLPClassifier(**COMMON).get_params()
    assert_same_model(local, model)
    local.coefs_[0][...] = 0
    assert model.coefs_[0].any()
    local.partial_fit(X, LABELS)
    with pytest.raises(AttributeError, match="to_local"):
        model.partial_fit(X, LABELS)
    assert_array_equal(model.predict(X), model.to_local().predict(X))


def keys_on(client):
    """The keys of all that the workers hold."""
    return {key for keys in client.has_what().values() for key in keys}


def test_nothing_stays_on_the_cluster(one_worker):
    before = keys_on(one_worker)
    model = DaskMLPClassifier(**COMMON)
    model.client = one_worker
    model.fit(collection(X), collection(LABELS), X_val=collection(X), y_val=collection(LABELS))
    model.score(collection(X), collection(LABELS))
    gc.collect()
    assert not kept_on(one_worker, before)


def kept_on(client, before):
    """The keys that are on the workers beside those before; futures are released one after the other."""
    for _ in range(100):
        held = keys_on(client) - before
        if not held:
            break
        time.sleep(0.05)
    return held


def test_nothing_stays_on_the_cluster_where_a_fit_fails(one_worker):
    """Also as long as the exception is there, whose traceback refers to the frames of the fit."""

    class Fail(Callback):
        def on_epoch_end(self, state):
            raise ZeroDivisionError

    before = keys_on(one_worker)
    model = DaskMLPClassifier(**COMMON, callbacks=Fail())
    model.client = one_worker
    x, y = collection(X), collection(LABELS)
    with pytest.raises(ZeroDivisionError) as raised:
        model.fit(x, y)
    del x, y
    gc.collect()
    assert raised.value.__traceback__ is not None
    assert not kept_on(one_worker, before)


def test_a_fit_in_a_task(one_worker):
    """The only thread of the only worker waits for rounds, which run on another one."""

    def fitted():
        model = DaskMLPClassifier(**COMMON).fit(collection(X), collection(LABELS))
        return model.to_local(), model.score(collection(X), collection(LABELS))

    local, score = one_worker.submit(fitted, pure=False).result(timeout=60)
    assert_same_model(local, MLPClassifier(**COMMON).fit(X, LABELS))
    assert score == pytest.approx(local.score(X, LABELS), rel=1e-12)
    assert one_worker.submit(worker_threads, pure=False).result(timeout=60) == 1


def test_a_round_takes_the_threads_of_its_worker(one_worker):
    assert one_worker.submit(worker_threads).result() == 1
    assert worker_threads() is None
