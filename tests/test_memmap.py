"""Training on an np.memmap and predicting from it: the models of the same numbers in memory, without a copy of X."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.mapped
from fastbp import MLPClassifier, MLPRegressor, Network, find_learning_rate, fit_many, hidden_activations
from fastbp.callbacks import Checkpoint
from fastbp.layers import Dense, Embedding, OneHot, PiecewiseLinear, RobustScale
from fastbp.mapped import MappedRows, is_mapped
from fault_cases import both_estimators, output
from mapped_cases import in_file

RNG = np.random.default_rng(0)
N, N_FEATURES = 83, 7
COUNTS = RNG.integers(0, 5, (N, N_FEATURES))
NUMBERS = RNG.normal(size=(N, N_FEATURES))
Y = (COUNTS[:, 0] > COUNTS[:, 1]).astype(int) + (NUMBERS[:, 2] > 0)
WEIGHT = RNG.integers(0, 3, N).astype(float)
SMALL = dict(hidden_layer_sizes=(6,), max_iter=4, batch_size=16, random_state=0)

#: name: (what is in the file, order, offset)
FILES = {
    "uint8": (COUNTS.astype(np.uint8), "C", 0),
    "int64": (COUNTS, "F", 0),
    "bool": (COUNTS > 2, "C", 3),
    "float16": (NUMBERS.astype(np.float16), "C", 0),
    "float32, not aligned": (NUMBERS.astype(np.float32), "C", 1),
    "float64 by columns": (NUMBERS, "F", 0),
    "float64": (NUMBERS, "C", 0),
    "big-endian": (NUMBERS.astype(">f4"), "C", 0),
}
#: parameters, and arguments of fit
OPTIONS = {
    "plain": ({}, {}),
    "float32": (dict(dtype="float32"), {}),
    "rows in their order": (dict(shuffle=False), {}),
    "weights": ({}, dict(sample_weight=WEIGHT)),
    "mixup": (dict(mixup_alpha=0.5), dict(sample_weight=WEIGHT)),
    "mixup of rows in their order": (dict(mixup_alpha=0.5, shuffle=False, dtype="float32"), {}),
    "early stopping": (dict(early_stopping=True, n_iter_no_change=2, validation_fraction=0.3), {}),
    "a validation set": (dict(scoring=[None, "loss", "neg_mean_absolute_error"]), dict(X_val=slice(30), y_val=Y[:30])),
    "data-dependent weights": (dict(weight_init="data_dependent_random_bias", early_stopping=True), {}),
    "batch normalization": (dict(normalization="batch", swa_start=0.3), dict(sample_weight=WEIGHT)),
    "batch normalization, in order": (dict(normalization="batch", ema_decay=0.5, shuffle=False), {}),
    "dropout": (dict(dropout=0.2, input_dropout=0.2), {}),
    "dropout, in order": (dict(input_dropout=0.2, shuffle=False), {}),
    "layers that adapt": (
        dict(layers=[RobustScale(), PiecewiseLinear(4), Dense(6, "relu")], early_stopping=True),
        dict(sample_weight=WEIGHT),
    ),
    "an average as result": (dict(solver="schedule_free", normalization="batch"), {}),
    "a loss that grows": (dict(learning_rate_init=50.0, solver="sgd", early_stopping=True), {}),
    "lbfgs": (dict(solver="lbfgs"), dict(sample_weight=WEIGHT)),
    "lbfgs with batch normalization": (dict(solver="lbfgs", normalization="batch"), {}),
}


def fitted(model, X, y=Y, **arguments):
    """The model, fitted on X; `X_val`, if there is one, is a part of X."""
    if "X_val" in arguments:
        arguments["X_val"] = X[arguments["X_val"]]
    return model.fit(X, y, **arguments)


def assert_same_model(found, expected):
    for name in ("_network", "n_features_in_", "loss_curve_", "validation_scores_", "validation_loss_curve_"):
        ours, theirs = (getattr(model, name, None) for model in (found, expected))
        if name == "_network":
            assert ours.dtype == theirs.dtype
            ours, theirs = ours.params, theirs.params
        assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore")  # of few iterations
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("file", ["uint8", "float16", "float64 by columns"])
def test_every_option(file, options, tmp_path, monkeypatch):
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_COLUMNS", 3 * N)
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_ROWS", 10 * N_FEATURES)
    array, order, offset = FILES[file]
    X = in_file(tmp_path, array, order, offset)
    parameters, arguments = OPTIONS[options]
    is_regression = "validation set" in options or "grows" in options
    make = partial(MLPRegressor if is_regression else MLPClassifier, **SMALL | parameters)
    assert_same_model(fitted(make(), X, **arguments), fitted(make(), np.array(X), **arguments))


@pytest.mark.filterwarnings("ignore")
@both_estimators
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_every_file(file, dtype, Estimator, tmp_path):
    X = in_file(tmp_path, *FILES[file])
    model, expected = (Estimator(**SMALL, dtype=dtype).fit(array, Y) for array in (X, np.array(X)))
    assert_same_model(model, expected)
    for some in (X, X[10:30], X[::-2], np.asarray(X)[5:]):
        assert is_mapped(some)
        assert_array_equal(output(model, some), output(expected, np.array(some)))
    assert model.score(X, Y) == expected.score(np.array(X), Y)
    assert_array_equal(hidden_activations(model, X), hidden_activations(model, np.array(X)))


@pytest.mark.filterwarnings("ignore")
def test_runs_that_go_on(tmp_path):
    X = in_file(tmp_path, *FILES["uint8"])
    for array in (X, np.array(X)):
        warm = MLPClassifier(**SMALL, warm_start=True).fit(array, Y).fit(array, Y)
        bit_by_bit = MLPRegressor(**SMALL).partial_fit(array, Y).partial_fit(array[:40], Y[:40])
        path = tmp_path / f"{is_mapped(array)}.pickle"
        MLPClassifier(**SMALL | dict(max_iter=2), callbacks=[Checkpoint(path)]).fit(array, Y)
        resumed = MLPClassifier(**SMALL).fit(array, Y, resume_from=path)
        if array is X:
            expected = warm, bit_by_bit, resumed
    for model, other in zip((warm, bit_by_bit, resumed), expected, strict=True):
        assert_same_model(model, other)
    other = in_file(tmp_path, FILES["uint8"][0] + np.uint8(1))
    with pytest.raises(ValueError, match="X has other values than in the run of the checkpoint"):
        MLPClassifier(**SMALL).fit(other, Y, resume_from=tmp_path / "True.pickle")


@pytest.mark.filterwarnings("ignore")
def test_networks_of_another_dtype_go_on(tmp_path):
    first = NUMBERS.astype(np.float32)
    make = partial(MLPRegressor, **SMALL, warm_start=True)
    for array, order in ((NUMBERS, "C"), (COUNTS, "C"), (COUNTS.astype(np.uint8), "F")):
        X = in_file(tmp_path, array, order)
        model, expected = (make().fit(first, Y).fit(some, Y) for some in (X, array))
        assert model.network_.dtype == np.float32
        assert_same_model(model, expected)
    with pytest.raises(ValueError, match="too large for float32; scale them, or use float64 throughout"):
        make().fit(first, Y).fit(in_file(tmp_path, NUMBERS * 1e300), Y)
    with pytest.raises(ValueError, match=r"memmap of int64 .* above 2.53, .* set dtype='float32'"):
        make().fit(first, Y).fit(in_file(tmp_path, COUNTS * (2**55 + 1) + 2**31 + 1), Y)


@pytest.mark.filterwarnings("ignore")
def test_blocks_of_a_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_ROWS", 10 * N_FEATURES)
    X = in_file(tmp_path, *FILES["uint8"])
    for options in ({}, dict(shuffle=False)):
        expected = MLPClassifier(**SMALL, **options).fit(COUNTS, Y, sample_weight=WEIGHT)
        assert_same_model(MLPClassifier(**SMALL, **options).fit_batches([(X, Y, WEIGHT)]), expected)
    windows = [MLPRegressor(**SMALL).fit_batches([(some, Y)], shuffle_rows=32) for some in (X, COUNTS.astype(float))]
    assert_same_model(*windows)


@pytest.mark.filterwarnings("ignore")
def test_many_fits_and_the_search_for_a_rate(tmp_path):
    X = in_file(tmp_path, *FILES["float16"])
    make = lambda: [MLPClassifier(**SMALL), MLPClassifier(**SMALL, dtype="float32"), MLPClassifier(**SMALL, alpha=1)]  # noqa: E731
    for found, expected in zip(fit_many(make(), X, Y), fit_many(make(), np.array(X), Y), strict=True):
        assert_same_model(found, expected)
    found, expected = (find_learning_rate(MLPRegressor(**SMALL), array, Y, n_steps=20) for array in (X, np.array(X)))
    assert_array_equal(found.losses, expected.losses)


@pytest.mark.filterwarnings("ignore")
def test_rows_are_the_same_for_any_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("fastbp.threads.available_threads", lambda *_: 3)
    monkeypatch.setattr("fastbp.threads.FLOPS_PER_THREAD", 1)
    X = in_file(tmp_path, *FILES["uint8"])
    one, three = (MLPClassifier(**SMALL, n_threads=n, mixup_alpha=0.2).fit(X, Y) for n in (1, 3))
    assert_same_model(three, one)


def test_codes_of_categories(tmp_path):
    layers = [OneHot([5] * N_FEATURES), Dense(3)]
    X = in_file(tmp_path, COUNTS.astype(np.int8))
    kwargs = dict(SMALL, max_iter=50, tol=10, n_iter_no_change=1)
    assert_same_model(
        MLPRegressor(**kwargs, layers=layers).fit(X, Y), MLPRegressor(**kwargs, layers=layers).fit(COUNTS, Y)
    )
    with pytest.raises(ValueError, match="column 0 of what Embedding reads must hold codes"):
        MLPRegressor(**kwargs, layers=[Embedding([5] * N_FEATURES, 2)]).fit(in_file(tmp_path, NUMBERS, "F"), Y)


@pytest.mark.filterwarnings("ignore")
def test_missing_numbers(tmp_path):
    numbers = np.where(COUNTS == 0, np.nan, NUMBERS).astype(np.float16)
    X, layers = in_file(tmp_path, numbers), [RobustScale(), Dense(6, "relu")]
    model, expected = (MLPClassifier(**SMALL, layers=layers).fit(array, Y) for array in (X, numbers))
    assert_same_model(model, expected)
    assert_array_equal(output(model, X), output(expected, numbers))


def message_of(function, *arguments):
    with pytest.raises((ValueError, TypeError)) as caught:
        function(*arguments)
    return f"{caught.type.__name__}: {caught.value}"


@both_estimators
def test_errors_are_those_of_arrays_in_memory(Estimator, tmp_path):
    model = Estimator(**SMALL)
    bad = NUMBERS.astype(np.float16)
    bad[-1, -1] = np.nan
    large = NUMBERS * 1e300
    cases = [
        (model, bad, Y),
        (model, np.where(np.isnan(bad), np.inf, bad), Y),
        (Estimator(**SMALL, dtype="float32"), large, Y),
        (model, COUNTS, Y[:-1]),
        (model, COUNTS, np.where(Y == 0, np.nan, Y)),
        (model, COUNTS, Y[:, None, None]),
        (model, COUNTS[:, 0], Y),
        (model, NUMBERS.astype(complex), Y),
        (model, NUMBERS.astype("f4").view([("a", "f4"), ("b", "f4")][:1]), Y),
        (model, NUMBERS.astype("S3"), Y),
    ]
    for estimator, array, y in cases:
        for order in "CF":
            X = in_file(tmp_path, array, order)
            assert message_of(estimator.fit, X, y) == message_of(estimator.fit, np.array(X), y)
    assert not hasattr(model, "coefs_")
    model = Estimator(**SMALL | dict(max_iter=50, tol=10, n_iter_no_change=1)).fit(COUNTS, Y)
    before = model.coefs_[0].copy()
    for array in (COUNTS[:, :3].astype(np.uint8), bad):
        assert message_of(model.predict, in_file(tmp_path, array)) == message_of(model.predict, array)
        assert message_of(model.partial_fit, in_file(tmp_path, array), Y) == message_of(model.partial_fit, array, Y)
    assert_array_equal(model.coefs_[0], before)


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="long double is float64 here")
def test_longer_floats_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"X is a memmap of float\d+, .* numpy.array\(X, dtype=numpy.float64\)"):
        MLPClassifier(**SMALL).fit(in_file(tmp_path, NUMBERS.astype(np.longdouble)), Y)


@pytest.mark.filterwarnings("ignore")
def test_what_callbacks_and_scorers_see(tmp_path):
    X = in_file(tmp_path, *FILES["uint8"])
    seen = []

    def scorer(model, X, y):
        seen.append(X)
        return model.score(X, y)

    class Callback:
        def on_fit_begin(self, state):
            seen.append(state.X)

    MLPClassifier(**SMALL | dict(max_iter=1, tol=10, n_iter_no_change=1), scoring=scorer, callbacks=[Callback()]).fit(
        X, Y, X_val=X[:20], y_val=Y[:20]
    )
    assert seen[0] is X
    assert all(isinstance(some, np.memmap) and some.dtype == np.uint8 for some in seen)


def test_a_network_reads_a_memmap(tmp_path):
    X = in_file(tmp_path, *FILES["uint8"])
    network = Network([N_FEATURES, 4, 2], "tanh", random_state=0)
    Z = RNG.normal(size=(N, 2))
    assert_array_equal(network.forward(X), network.forward(np.array(X)))
    assert_array_equal(network.loss_and_gradient(X, Z)[1], network.loss_and_gradient(np.array(X), Z)[1])
    assert_array_equal(network.input_gradient(X, Z), network.input_gradient(np.array(X), Z))
    with pytest.raises(ValueError, match="too large for float32"):
        network.astype(np.float32).forward(in_file(tmp_path, NUMBERS * 1e300, "F"))


def test_what_is_mapped(tmp_path):
    X = in_file(tmp_path, NUMBERS)
    for array in (X, X[3:], X.T, np.asarray(X)[:, ::2], X.reshape(-1, 1)):
        assert is_mapped(array)
    for array in (NUMBERS, X[[1, 2]], np.array(X), X[0], X[:0], X.astype(np.float32), X.tolist()):
        assert not is_mapped(array)


def test_rows_and_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_COLUMNS", 3 * N)
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_ROWS", 10 * N_FEATURES)
    numbers = COUNTS.astype(np.float32)
    every = MappedRows(in_file(tmp_path, COUNTS.astype(np.uint8)), np.float32)
    part = every.part(np.arange(0, N, 2)).part(slice(3, 30))
    for rows, expected in ((every, numbers), (part, numbers[::2][3:30])):
        assert rows.shape == expected.shape
        assert (rows.size, len(rows)) == (expected.size, len(expected))
        for column in (0, 2, 6, 1):
            assert_array_equal(rows[:, column], expected[:, column])
        for key in (slice(2, 9), np.array([5, 1])):
            assert_array_equal(rows[key], expected[key])
            assert rows[key].dtype == np.float32
        assert_array_equal(np.concatenate([rows[some] for some in rows.slices()]), expected)
    with pytest.raises(TypeError, match="some at a time"):
        np.asarray(every)


MEMORY = {
    "plain": {},
    "rows in their order": dict(shuffle=False),
    "mixup": dict(mixup_alpha=0.3),
    "early stopping": dict(early_stopping=True, validation_fraction=0.01),
    "lbfgs": dict(solver="lbfgs"),
    "layers that adapt": dict(layers=[RobustScale(), Dense(2)], early_stopping=True, validation_fraction=0.01),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", MEMORY)
@pytest.mark.parametrize("name", ["uint8", "float32", "float32, not aligned"])
def test_memory(name, options, tmp_path, monkeypatch):
    n, m = 8000, 250  # 8 MB of float32
    dtype, offset = name.split(",")[0], int("not" in name)
    array = np.random.default_rng(0).integers(0, 9, (n, m)).astype(dtype)
    X, y = in_file(tmp_path, array, "C", offset), array[:, 0]
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_COLUMNS", 2 * n)
    monkeypatch.setattr(fastbp.mapped, "NUMBERS_OF_ROWS", 100 * m)
    del array
    model = MLPRegressor(**SMALL | dict(hidden_layer_sizes=(2,), max_iter=1, batch_size=100) | MEMORY[options])
    model.fit(X[:300], y[:300])  # what is made once
    tracemalloc.start()
    try:
        model.fit(X, y)
        model.predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # y, row numbers and predictions are 64 kB each, a block of columns 128 kB, of which there are two or three at once;
    # a copy of X as it lies would be 2 MB at least. L-BFGS converts GRADIENT_ROWS rows at once, to 1 MB of float64.
    assert peak < (1.5e6 if options == "lbfgs" else 1e6)
