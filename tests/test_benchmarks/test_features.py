"""The cost of the options of training; `benchmarks/features.py`, `benchmarks/options.py`."""

import ast

import numpy as np
import pytest

from benchmark_cases import BENCHMARKS, run
from fastbp import MLPClassifier, MLPRegressor

ESTIMATORS = {"regression": MLPRegressor, "classification": MLPClassifier}
#: On the weights of a short fit, whose norms stay below 3
WITHOUT_EFFECT = {"max_norm"}


@pytest.fixture(scope="module")
def features(benchmarks):
    return benchmarks("features")


@pytest.fixture(scope="module")
def options(benchmarks):
    return benchmarks("options").OPTIONS


def row(**changes):
    """A row as `measure_option` makes it."""
    made = {"option": "dropout", "network": "20-64-64-1", "dtype": "float32", "failures": {}}
    return made | {"plain_us": 50.0, "us": 60.0, "cost": 0.2, "torch_us": 150.0, "torch_ratio": 2.5} | changes


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_option_trains_where_it_applies(benchmarks, options, workloads):
    X = 10 * np.random.default_rng(0).normal(size=(20, 3))
    for name, option in options.items():
        applied = 0
        for network in benchmarks("features").LIMITS:
            workload = workloads.WORKLOADS[network]
            if not option.applies_to(workload):
                continue
            applied += 1
            y = X[:, 0] if workload.task == "regression" else (X[:, 0] > 9).astype(int)
            model = ESTIMATORS[workload.task](
                hidden_layer_sizes=(4, 4), batch_size=10, max_iter=2, tol=0, random_state=0
            )
            plain = model.fit(X, y).coefs_[0]
            changed = model.set_params(n_iter_no_change=10, **option.parameters).fit(X, y).coefs_[0]
            assert np.array_equal(plain, changed) == (name in WITHOUT_EFFECT), name
        assert applied, name


def test_options_of_a_task(options, workloads):
    large, small = workloads.WORKLOADS["784-512-256-10"], workloads.WORKLOADS["20-64-64-1"]
    assert options["residual"].applies_to(small)
    assert not options["residual"].applies_to(large)
    assert options["huber"].applies_to(small)
    assert not options["huber"].applies_to(large)
    assert options["focal"].applies_to(large)


def test_every_option_has_a_counterpart(options):
    tree = ast.parse((BENCHMARKS / "peers" / "torch_options.py").read_text("utf-8"))
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "OPTIONS"
    )
    assert {key.value for key in table.keys} == {""} | {name for name, option in options.items() if option.in_torch}


def test_a_workload_with_an_option(benchmarks, workloads):
    workload = workloads.find("20-64-64-1+dropout")
    assert workload == workloads.WORKLOADS["20-64-64-1"].with_option("dropout")
    assert workload.layer_sizes == (20, 64, 64, 1)
    assert benchmarks("options").parameters_of(workload) == {"dropout": 0.2}
    assert workloads.find("4-8-3") is workloads.WORKLOADS["4-8-3"]
    assert benchmarks("options").parameters_of(workloads.find("4-8-3")) == {}


@pytest.mark.parametrize(
    ("changes", "told", "not_told"),
    [
        ({}, "+20.0 %", "more than"),
        ({"cost": 0.41}, "costs more than 40 %", "times ahead"),
        ({"cost": 0.41, "option": "gelu"}, "+41.0 %", "costs more"),
        ({"torch_ratio": 1.1}, "less than 1.2 times ahead", "costs more"),
        ({"failures": {"torch+dropout": "killed"}}, "torch+dropout failed: killed", "costs more"),
    ],
)
def test_a_row_says_what_misses_its_limit(features, changes, told, not_told):
    line = features.format_row(row(**changes))
    assert told in line
    assert not_told not in line


def test_a_row_of_an_option_that_failed(features):
    failed = {"option": "ema", "network": "20-64-64-1", "failures": {"fastbp+ema": "ValueError: no"}}
    assert features.format_row(failed).split() == ["ema", "failed:", "ValueError:", "no"]


def test_a_short_run(tmp_path):
    file = tmp_path / "features.json"
    arguments = ("--quick", "--peers", "none", "--net", "20-64-64-1", "--only", "clip_norm", "--only", "fit_many")
    printed = run(BENCHMARKS / "features.py", *arguments, "--json", file, cwd=tmp_path)
    assert "clip_norm" in printed
    assert "times as fast as with one thread" in printed
    assert file.read_text().count('"cost"') == 1
