"""The cost model of distributed training; `benchmarks/cost_model.py` and `benchmarks/scaling_report.py`."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmark_cases import BENCHMARKS

PAGE = BENCHMARKS.parent / "docs" / "scaling.md"
RESULTS = BENCHMARKS / "results" / "scaling-epyc-2-cores.json"


@pytest.fixture(scope="module")
def model(benchmarks):
    return benchmarks("cost_model")


@pytest.fixture(scope="module")
def report(benchmarks):
    pytest.importorskip("matplotlib")
    return benchmarks("scaling_report")


@pytest.mark.parametrize(
    ("n_workers", "levels", "n_tasks"),
    [(1, [], 1), (2, [[2]], 3), (8, [[8]], 9), (9, [[8, 1], [2]], 11), (64, [[8] * 8, [8]], 73)],
)
def test_tree_of_averages(model, n_workers, levels, n_tasks):
    assert model.combining_levels(n_workers) == levels
    assert model.count_tasks(n_workers) == n_tasks


def test_round_of_one_worker(model):
    cluster = model.Cluster(1, 0.01, 1000, 10, copy_seconds=1e-7, bytes_per_second=1e6, round_trip=0.2)
    # two messages of 12,000 bytes, each made, sent and read
    messages = 2 * (12_000 / 1e6 + 2 * 12_000 * 1e-7 + 0.2)
    assert_allclose(model.round_seconds(cluster), 0.1 + messages + 0.2)
    assert_allclose(model.simulate(cluster), 0.1 + messages + 0.2)


def test_bytes_on_the_lines(model):
    """Eight workers, nothing but bytes: one message in, two for each of two levels, seven to the one that combines."""
    cluster = model.Cluster(8, 0.0, 250_000, 1, n_arrays=1, bytes_per_second=1e6, round_trip=0.0)
    assert_allclose(model.simulate(cluster), 1 + 2 * 2 + 7 + 1)
    assert_allclose(model.round_seconds(cluster), 1 + 2 * 2 + 7 + 1)


def test_latencies_and_tasks(model):
    cluster = model.Cluster(8, 0.0, 0, 1, round_trip=1.0)
    assert_allclose(model.simulate(cluster), 1 + 2 * 2 + 1 + 2 + 1)
    assert_allclose(model.round_seconds(cluster), 1 + 2 * 2 + 1 + 2 + 1)
    # the scheduler needs a second for each of nine tasks, and two for the round
    cluster = model.Cluster(8, 0.0, 0, 1, round_trip=0.0, task_seconds=1.0, round_seconds=2.0)
    assert_allclose(model.simulate(cluster), 2 + 9)
    assert_allclose(model.round_seconds(cluster), 2 + 9)
    cluster = model.Cluster(8, 0.0, 0, 1, round_trip=0.0, worker_seconds=1.0)
    assert_allclose(model.simulate(cluster), 1 + 1)
    assert_allclose(model.round_seconds(cluster), 1 + 1)


def test_workers_share_cores(model):
    seconds = [model.simulate(model.Cluster(n, 0.1, 0, 10, round_trip=0.0, n_cores=2)) for n in (1, 2, 3, 4)]
    assert_allclose(seconds, [1, 1, 2, 2])


def test_all_wait_for_stragglers(model):
    cluster = model.Cluster(100, 0.1, 0, 10, round_trip=0.0, spread=0.1)
    found = model.simulate(cluster, 50)
    # E max of 100 normal numbers is 2.508
    assert_allclose(found, 1.2508, atol=0.02)
    assert found < model.round_seconds(cluster)
    assert model.simulate(cluster, 50, seed=1) != found


@pytest.mark.parametrize("n_workers", [2, 3, 8, 30, 64])
@pytest.mark.parametrize(("n_params", "copy_seconds"), [(10**5, 5e-10), (10**7, 5e-10), (10**7, 5e-9)])
def test_formula_is_near_the_simulation(model, n_workers, n_params, copy_seconds):
    cluster = model.Cluster(n_workers, 0.001, n_params, 10, copy_seconds=copy_seconds, task_seconds=3e-4)
    # the formula takes the largest task of each level, and lets nothing overlap between levels
    assert 0.95 < model.round_seconds(cluster) / model.simulate(cluster) < 1.25


def test_all_reduce(model):
    cluster = model.Cluster(4, 0.0, 250_000, 1, n_arrays=1, bytes_per_second=1e6, round_trip=0.5)
    # 2 * 3 / 4 of a message, and six halves of a round trip
    assert_allclose(model.all_reduce_seconds(cluster), 1.5 + 1.5)


def test_steps_for_an_efficiency(model):
    cluster = model.Cluster(8, 0.001, 0, 1, round_trip=0.0, round_seconds=0.03)
    assert model.steps_for(cluster, 0.5) == 50  # 30 would do
    assert model.steps_for(cluster, 0.9) == 500
    assert model.steps_for(model.Cluster(8, 0.001, 0, 1, spread=1.0), 0.9) is None


def test_page_has_the_results(report):
    document = json.loads(RESULTS.read_text())
    page = PAGE.read_text("utf-8")
    assert report.with_tables(page, document) == page
    with pytest.raises(ValueError, match="no marks <!-- constants -->"):
        report.with_tables("", document)


def test_predictions_of_the_results_are_those_of_the_model(model):
    """The file has the constants and the rates that follow from them; the model has not changed since."""
    document = json.loads(RESULTS.read_text())
    constants, n_cores = document["constants"], document["machine"]["n_cores"]
    known = {name: constants[name] for name in model.CONSTANTS}
    for row in document["comparison"]:
        n_workers, net = row["n_workers"], row["net"]
        if n_workers > 1:
            step = constants["step_seconds"][str(min(n_workers, n_cores))][net]
            here = {"bytes_per_second": 1e12, "round_trip": 0.0, "n_cores": n_cores}
            cluster = model.Cluster(n_workers, step, document["nets"][net], row["sync_every"], **known, **here)
            expected = n_workers * row["sync_every"] * 200 / model.simulate(cluster)
            assert_allclose(row["predicted_rows_per_second"], expected, rtol=1e-6)


def test_chart(report, monkeypatch):
    monkeypatch.setattr(report, "simulated", report.round_seconds)
    panels = report.draw(json.loads(RESULTS.read_text())).axes
    assert [axes.get_title().split()[0] for axes in panels] == ["small", "large"]
    for axes in panels:
        assert len(axes.lines) == 6
        efficiencies = np.array([line.get_ydata() for line in axes.lines[::2]])
        assert (np.diff(efficiencies, axis=0) > 0).all()  # longer rounds
        assert (np.diff(efficiencies, axis=1) < 0).all()  # more workers
        for line, markers in zip(axes.lines[::2], axes.lines[1::2], strict=True):
            assert_allclose(line.get_ydata(), markers.get_ydata())
