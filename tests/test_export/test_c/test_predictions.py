"""The C export: compiled, and compared with the predictions."""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import c_cases
from c_library import COMPILERS, Library, needs_compiler
from fastbp.export.c import c_source

#: Sums are added up in another order, and functions of math.h differ in the last digits: some hundred rounding errors
RTOL = {"float64": 1e-12, "float32": 2e-5}

pytestmark = needs_compiler


def inputs_of(network, n=12):
    """Rows with codes, missing numbers where they may be, and large numbers."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, network.graph.n_features)) * 2
    X[: n // 2] = X[: n // 2].round()
    if network.accepts_missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    return X


def close(actual, expected, dtype):
    """Up to rounding, relative to the largest number of a column: columns may be of different sizes."""
    scale = np.abs(expected).max(axis=0, initial=1e-300)
    assert_allclose(actual / scale, expected / scale, rtol=RTOL[dtype], atol=RTOL[dtype])


# "wide" has so many numbers that compilers take seconds, and no kind of its own
NETWORKS = {name: network for name, network in c_cases.networks().items() if name != "stack wide"}
#: Name -> function that makes the model
MODELS = {
    **{f"network {name}": partial(NETWORKS.get, name) for name in NETWORKS},
    **{f"classifier {name}": partial(c_cases.classifier, name) for name in c_cases.TARGETS},
    **{f"regressor {name}": partial(c_cases.regressor, name) for name in c_cases.REGRESSORS},
    **{f"table {name}": partial(c_cases.tabular, name) for name in c_cases.TABULAR if find_spec("pandas")},
    **{f"pipeline {name}": partial(c_cases.pipeline, name) for name in c_cases.SCALERS},
    "encoder": c_cases.encoder,
}
#: Networks with many numbers: in float32 only
LARGE = ("network stack many numbers", "network stack table")


def dtypes_of(name):
    """The dtypes in which a model is exported."""
    return [None] if name.startswith("table") else ["float32"] if name in LARGE else ["float64", "float32"]


CASES = [(name, dtype) for name in MODELS for dtype in dtypes_of(name)]


@pytest.fixture(scope="module", params=COMPILERS)
def library(request, tmp_path_factory):
    sources = {f"m{i}": c_source(MODELS[name](), prefix=f"m{i}", dtype=dtype) for i, (name, dtype) in enumerate(CASES)}
    return Library(tmp_path_factory.mktemp(request.param), sources, request.param)


def cases_of(kind):
    found = [(i, name, dtype) for i, (name, dtype) in enumerate(CASES) if name.startswith(kind)]
    return pytest.mark.parametrize(("number", "name", "dtype"), found, ids=[f"{n}-{d}" for _, n, d in found])


@cases_of("network")
def test_networks(library, number, name, dtype):
    network = MODELS[name]().astype(dtype)
    X = inputs_of(network)
    close(library.model(f"m{number}")("forward", X, [network.n_outputs]), network.forward(X.astype(dtype)), dtype)


def labels_of(model, columns):
    """The labels whose places in the tables a function gives."""
    names = ["classes"] if columns.ndim == 1 else [f"classes_{i}" for i in range(columns.shape[1])]
    columns = columns.reshape(len(columns), -1)
    tables = [np.array(model.labels(name)) for name in names]
    return [table[column] for table, column in zip(tables, columns.T, strict=True)]


@cases_of("classifier")
def test_classifiers(library, number, name, dtype):
    estimator, model = MODELS[name](), library.model(f"m{number}")
    X = c_cases.X
    expected = estimator.predict(X)
    if "indicators" in name:
        assert_array_equal(model("predict", X, [expected.shape[1]]), expected)
    else:
        sizes = [expected.shape[1]] if expected.ndim == 2 else []
        found = labels_of(model, model("predict", X, sizes))
        for column, labels in zip(expected.reshape(len(X), -1).T, found, strict=True):
            assert_array_equal(labels, column)
    for method in ("predict_proba", "predict_log_proba"):
        expected = getattr(estimator, method)(X)
        expected = np.hstack(expected) if isinstance(expected, list) else expected
        close(model(method, X, [expected.shape[1]]), expected, dtype)


@cases_of("regressor")
def test_regressors(library, number, name, dtype):
    estimator, model = MODELS[name](), library.model(f"m{number}")
    dtype, X = "float32" if "layers" in name else dtype, c_cases.X
    expected = estimator.predict(X)
    close(model("predict", X, expected.shape[1:]), expected, dtype)
    if "gaussian" in name:
        expected = [part.reshape(len(X), -1) for part in estimator.predict(X, return_std=True)]
        for found, part in zip(model("predict_with_std", X, [expected[0].shape[1]] * 2), expected, strict=True):
            close(found, part, dtype)


@cases_of("table")
def test_tables(library, number, name, dtype):
    estimator, model = MODELS[name](), library.model(f"m{number}")
    frame = c_cases.table(30, seed=1)
    frame.loc[3, "town"] = "a level that was not there"
    frame.loc[4, ["age */", "time", "huge", "pair", "size", "answer"]] = np.nan, np.nan, 1e300, np.nan, np.nan, None
    frame.loc[5, "answer"] = "a level that was not there"
    frame.loc[6, "empty"] = "not empty"
    X = c_cases.rows_of_table(model, list(frame.columns), frame)
    expected = estimator.predict(frame)
    if "classes" in name:
        assert_array_equal(np.array(model.labels())[model("predict", X)], expected)
        for method in ("predict_proba", "predict_log_proba"):
            expected = getattr(estimator, method)(frame)
            close(model(method, X, expected.shape[1:]), expected, "float32")
    else:
        close(model("predict", X, expected.shape[1:]), expected, "float32")
    if name == "table numbers":
        found = model("predict_interval", X, [1, 1])
        for limit, part in zip(found, estimator.predict_interval(frame), strict=True):
            close(limit[:, 0], part, "float32")
    assert np.isnan(model.level(4, None))
    assert model.level(4, "a level that was not there") == model.level(0, "text") == -1


@cases_of("encoder")
def test_encoders(library, number, name, dtype):
    X, encoder = c_cases.X, MODELS[name]()
    close(library.model(f"m{number}")("transform", X, [2]), encoder.transform(X), dtype)


@cases_of("pipeline")
def test_pipelines(library, number, name, dtype):
    X, pipeline, model = 5 + 3 * c_cases.X, MODELS[name](), library.model(f"m{number}")
    expected = pipeline.predict_proba(X)
    close(model("predict_proba", X, expected.shape[1:]), expected, dtype)
    assert_array_equal(np.array(model.labels())[model("predict", X)], pipeline.predict(X))
