"""Fits on two processes, against the same rounds one after the other in this one; data frames, blocks, predictions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from fastbp import Callback, MLPClassifier, MLPRegressor
from fastbp.callbacks import Checkpoint
from fastbp.dask import DaskMLPClassifier, DaskMLPRegressor
from fastbp.dask.epochs import batch_size_of, generators_of, rounds_of
from fastbp.dask.outer import OuterNesterov
from fastbp.dask.rounds import Round, Settings, Shard, State, combine, run_round
from fastbp.data import make_data
from fastbp.layers import BatchNorm, Dense
from fastbp.optimizers import Adam
from fastbp.training import OptimizerState

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 600
RNG = np.random.RandomState(0)
X = RNG.randn(N, 4)
Y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
NUMBERS = X[:, 0] + X[:, 1] * X[:, 2]
PARAMS = dict(hidden_layer_sizes=(6,), batch_size=40, max_iter=3, random_state=0, sync_every=4)


def arrays(*values, chunks=(150, 150, 200, 100)):
    return [da.from_array(v, chunks=(chunks, *[-1] * (v.ndim - 1))) for v in values]


def assert_same_weights(one, other):
    for ours, theirs in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        assert_array_equal(ours, theirs)
    assert one.loss_curve_ == other.loss_curve_


def twin(params, n_shards=2):
    """(parameters, losses) of the same rounds, without a cluster."""
    local = {name: value for name, value in params.items() if name != "sync_every"}
    start = MLPClassifier(**local | {"max_iter": 1, "learning_rate_init": 1e-300}).fit(X, Y)
    network, generator = start.network_, np.random.RandomState(0)
    for shape in ((4, 6), (6,), (6, 3), (3,)):  # the initial weights and biases
        generator.uniform(size=shape)
    definition = {**network.definition, **network.settings, "dtype": network.dtype}
    settings = Settings("run", definition, Adam(), {})
    parts = np.array_split(np.arange(N), n_shards)
    shards = [Shard(X[part], Y[part], None, 3, np.float64) for part in parts]
    sizes = [batch_size_of(40, len(part), N) for part in parts]
    steps = [-(-len(part) // size) for part, size in zip(parts, sizes, strict=True)]
    optimizer = OptimizerState(Adam(), network.n_params, np.float64)
    state = State(network.params.copy(), optimizer.state, optimizer.memory)
    outer, losses = OuterNesterov(1, 1 - 2**-0.5, network), []
    generators = generators_of(generator, n_shards)
    for epoch in range(params["max_iter"]):
        results, n = [], rounds_of(max(steps), 4, False)
        for number in range(n):
            works = [
                Round(
                    epoch,
                    round(number / n * k),
                    round((number + 1) / n * k),
                    size,
                    np.array([0.001]),
                    generator=g,
                    penalties={"alpha": 1e-4 * size / 40, "l1": 0.0},
                )
                for k, size, g in zip(steps, sizes, generators, strict=True)
            ]
            result = combine([run_round(s, state, settings, w) for s, w in zip(shards, works, strict=True)])
            params_after = outer.step(state.params, result.state.params)
            state = result.state.with_arrays([params_after, *result.state.arrays[1:]])
            results.append(result)
        losses.append(np.average([r.loss for r in results], weights=[r.rows for r in results]))
    return state.params, losses


def test_two_workers_are_the_rounds_of_two_shards(client):
    X_, y_ = arrays(X, Y)
    model = DaskMLPClassifier(**PARAMS).fit(X_, y_)
    params, losses = twin(PARAMS)
    assert_array_equal(model.network_.params, params)
    assert_allclose(model.loss_curve_, losses, rtol=1e-14)  # sums of a few numbers
    assert_same_weights(DaskMLPClassifier(**PARAMS).fit(X_, y_), model)  # and again
    assert model.t_ == 3 * N


def test_rows_that_are_sorted_by_weight(client):
    """Two workers learn the same means as one machine, though the weights of one are 99 times those of the other."""
    half = np.arange(4000) >= 2000
    rows, numbers, weight = np.random.RandomState(0).randn(4000, 2), half.astype(float), np.where(half, 99.0, 1.0)
    params = dict(hidden_layer_sizes=(4,), max_iter=20, learning_rate_init=0.01, random_state=0)
    local = MLPRegressor(**params).fit(rows, numbers, weight)
    model = DaskMLPRegressor(**params).fit(*arrays(rows, numbers, weight, chunks=(1000,) * 4)).to_local()
    assert model.predict(rows).mean() == pytest.approx(local.predict(rows).mean(), abs=0.01)
    assert model.loss_curve_[-1] == pytest.approx(local.loss_curve_[-1], abs=0.005)
    params["class_weight"] = {0: 1, 1: 50}
    local = MLPClassifier(**params).fit(rows, half.astype(int))
    model = DaskMLPClassifier(**params).fit(*arrays(rows, half.astype(int), chunks=(1000,) * 4)).to_local()
    expected = local.predict_proba(rows)[:, 1].mean()
    assert model.predict_proba(rows)[:, 1].mean() == pytest.approx(expected, abs=0.02)
    assert expected > 0.9


def test_a_shard_without_weight_changes_nothing(client):
    """The average is that of the other shard, and so is the loss."""
    weight, params = (np.arange(N) < 300).astype(float), PARAMS | dict(outer_momentum=0.0, shuffle=False)
    model = DaskMLPClassifier(**params).fit(*arrays(X, Y, weight, chunks=(150,) * 4))
    local = {name: value for name, value in params.items() if name not in ("sync_every", "outer_momentum")}
    expected = MLPClassifier(**local | dict(batch_size=20, alpha=5e-5)).fit(X[:300], Y[:300])
    assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-12, atol=1e-14)
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)


def test_persisted_partitions_stay(client):
    """Where the first and the last partition are with one worker, and those between with the other."""
    one, other = sorted(client.nthreads())
    blocks = [
        [
            client.submit(np.asarray, block, workers=[worker], pure=False)
            for block, worker in zip(parts, places, strict=True)
        ]
        for parts, places in (
            ([X[:100], X[100:300], X[300:400], X[400:]], [one, other, other, one]),
            ([Y[:100], Y[100:300], Y[300:400], Y[400:]], [one, other, other, one]),
        )
    ]
    model = DaskMLPClassifier(**PARAMS).fit(*blocks)
    order = np.r_[0:100, 400:600, 100:400]  # the rows of the first shard, and those of the second
    bounds = [slice(0, 300), slice(300, 600)]
    expected = DaskMLPClassifier(**PARAMS).fit(
        *[[dask.delayed(values[order][part]) for part in bounds] for values in (X, Y)]
    )
    assert_same_weights(model, expected)


def test_places_of_collections_in_memory(client):
    from distributed import futures_of, wait

    from fastbp.dask.cluster import Cluster
    from fastbp.dask.collections import partitions_of

    pandas, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    array = da.from_array(X, chunks=(150, 4)).persist()
    frame = dd.from_pandas(pandas.DataFrame(X, columns=["a", "b", "c", "d"]), npartitions=4).persist()
    for held, made in ((array, array * 2), (frame, frame[["a", "b"]]), (frame, frame["c"])):
        wait(held)
        holders = client.who_has(futures_of(held))
        expected = [holders[key][0] for key in sorted(holders)]  # by their numbers
        assert len(expected) == 4
        for collection in (held, made):
            assert Cluster(client).places(partitions_of(collection)) == expected
    assert Cluster(client).places(partitions_of(da.from_array(X + 1, chunks=(150, 4)))) == [None] * 4


def test_data_frames(client):
    pandas, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"]).assign(label=np.array(["x", "y", "z"])[Y], w=1.0)
    df = dd.from_pandas(frame, npartitions=4)
    model = DaskMLPClassifier(**PARAMS).fit(df[["a", "b", "c", "d"]], df["label"], df["w"])
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    assert_same_weights(model, DaskMLPClassifier(**PARAMS).fit(*arrays(X, Y, np.ones(N), chunks=(150,) * 4)))
    local = model.to_local()
    features = df[["a", "b", "c", "d"]]
    predictions = model.predict(features).compute()
    assert predictions.index.equals(frame.index)
    assert_array_equal(predictions, local.predict(frame[["a", "b", "c", "d"]]))
    probabilities = model.predict_proba(features)
    assert list(probabilities.columns) == ["x", "y", "z"]
    assert_allclose(probabilities.compute(), local.predict_proba(frame[["a", "b", "c", "d"]]), rtol=1e-12)
    assert model.score(features, df["label"]) == pytest.approx(local.score(frame[["a", "b", "c", "d"]], frame["label"]))


def test_lazy_predictions(client):
    X_, y_ = arrays(X, NUMBERS)
    model = DaskMLPRegressor(**PARAMS).fit(X_, y_)
    local, lazy = model.to_local(), model.predict(X_)
    assert isinstance(lazy, da.Array)
    assert (lazy.chunks, lazy.dtype) == (y_.chunks, y_.dtype)
    # batches of other sizes are summed in the same order, on the same machine
    assert_allclose(lazy.compute(), local.predict(X), rtol=1e-12, atol=1e-14)
    unknown = X_[X_[:, 0] > 0]  # chunks of unknown size
    assert_allclose(model.predict(unknown).compute(), local.predict(X[X[:, 0] > 0]), rtol=1e-12, atol=1e-14)
    assert model.score(X_, y_) == pytest.approx(local.score(X, NUMBERS), rel=1e-12)
    (block,) = model.predict([dask.delayed(X[:7])])
    assert_array_equal(block.compute(), local.predict(X[:7]))
    assert isinstance(local, MLPRegressor)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_dtype_of_lazy_predictions(dtype, client):
    """It is declared as it is computed, of arrays, data frames and empty blocks."""
    pandas, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    rows = (10 * X).astype(dtype)
    X_, y_ = arrays(rows, NUMBERS)
    model = DaskMLPRegressor(**PARAMS).fit(X_, y_)
    expected = model.to_local().predict(rows).dtype
    lazy = model.predict(X_)
    assert lazy.dtype == lazy.compute().dtype == expected
    series = model.predict(dd.from_pandas(pandas.DataFrame(rows, columns=list("abcd")), npartitions=2))
    assert series.dtype == series.compute().dtype == expected
    (empty,) = model.predict([dask.delayed(rows[:0])])
    assert empty.compute().dtype == expected


def test_early_stopping_with_rows_on_a_worker(client):
    params = PARAMS | dict(early_stopping=True, n_iter_no_change=2, max_iter=50, learning_rate_init=0.05)
    X_, y_, X_val, y_val = arrays(X, Y, X + 0.1, Y)
    model = DaskMLPClassifier(**params).fit(X_, y_, X_val=X_val, y_val=y_val)
    assert 2 < model.n_iter_ < 50
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_validation_score_ == pytest.approx(model.score(X_val, y_val))


def renewed(network, batch_size):
    """The parameters with the running statistics of two shards at the weights as they are."""
    results = []
    for part in (slice(0, 300), slice(300, N)):
        other = network.copy()
        loop = other.training_loop(make_data(X[part], Y[part], None, 3, np.float64), batch_size, True, training=True)
        loop.renew_statistics(np.arange(300))
        results.append(other.params.copy())
    return np.mean(results, axis=0)


class Seen(Callback):
    """Keeps the parameters that callbacks see after epochs, and what they are with new statistics."""

    def __init__(self):
        self.pairs = []

    def on_epoch_end(self, state):
        self.pairs.append((state.network.params.copy(), renewed(state.network, 300)))


NORMALIZED = dict(layers=[Dense(6), BatchNorm()], hidden_layer_sizes=(100,))


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9}, {"swa_start": 0.4}], ids=["", "moving", "epochs"])
def test_statistics_are_those_of_the_averaged_weights(options, client):
    """Whether they are seen after each epoch, or at the end only. A shard is one batch, whatever its order."""
    params, collections = PARAMS | NORMALIZED | options | dict(batch_size=N), arrays(X, Y, chunks=(150,) * 4)
    seen = Seen()
    model = DaskMLPClassifier(**params, callbacks=seen).fit(*collections)
    for params_seen, expected in [*seen.pairs, (model.network_.params, renewed(model.network_, 300))]:
        assert_allclose(params_seen, expected, rtol=1e-12, atol=1e-14)
    assert len(seen.pairs) == 3
    assert_same_weights(DaskMLPClassifier(**params).fit(*collections), model)
    assert_allclose(model.predict_proba(X), DaskMLPClassifier(**params).fit(*collections).predict_proba(X), rtol=1e-12)


def test_a_checkpoint_is_resumed(client, one_worker, tmp_path):
    """On as many shards only; with statistics that are computed anew after each epoch, or at the end."""
    model = DaskMLPClassifier(**PARAMS | NORMALIZED, callbacks=Checkpoint(tmp_path / "{epoch}")).fit(*arrays(X, Y))
    resumed = clone(model).set_params(callbacks=None)
    assert_same_weights(resumed.fit(*arrays(X, Y), resume_from=tmp_path / "2"), model)
    resumed.client = one_worker
    with pytest.raises(
        ValueError, match=r"shards of \[600\] rows, and were divided into shards of \[300, 300\].*init_from"
    ):
        resumed.fit(*arrays(X, Y), resume_from=tmp_path / "2")


def test_the_moving_average_is_the_mean_of_those_of_the_shards(client):
    """After one round of steps that are the same on all shards, it is that of one machine."""
    rows, labels = np.tile(X[:60], (2, 1)), np.tile(Y[:60], 2)
    params = dict(hidden_layer_sizes=(6,), max_iter=3, random_state=0, shuffle=False, ema_decay=0.9, alpha=0.0)
    collections = arrays(rows, labels, chunks=(60, 60))
    model = DaskMLPClassifier(**params, batch_size=20, outer_momentum=0.0).fit(*collections)
    local = MLPClassifier(**params, batch_size=10).fit(X[:60], Y[:60])
    assert_allclose(model.network_.params, local.network_.params, rtol=1e-12, atol=1e-14)
    assert_allclose(model.raw_params_, local.raw_params_, rtol=1e-12, atol=1e-14)


def test_the_largest_norm_of_columns(client):
    """The outer step goes beyond the average, and not beyond the limit."""
    params = PARAMS | dict(max_norm=0.3, learning_rate_init=0.1, outer_momentum=0.9, sync_every=1)
    model = DaskMLPClassifier(**params).fit(*arrays(X, Y))
    norms = np.concatenate([np.linalg.norm(coef, axis=0) for coef in model.coefs_])
    assert norms.max() == pytest.approx(0.3, rel=1e-12)


def test_dropout_is_the_same_again(client):
    params = PARAMS | {"dropout": 0.1}
    model = DaskMLPClassifier(**params).fit(*arrays(X, Y))
    assert_same_weights(DaskMLPClassifier(**params).fit(*arrays(X, Y)), model)
