"""The cost model of distributed training; `benchmarks/cost_model.py` and `benchmarks/scaling_report.py`."""

import json
from dataclasses import replace
from types import SimpleNamespace

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
    """Eight workers, nothing but bytes: one message in, all others fetch from one, seven to the one that combines."""
    cluster = model.Cluster(8, 0.0, 250_000, 1, n_arrays=1, bytes_per_second=1e6, round_trip=0.0)
    assert_allclose(model.simulate(cluster), 1 + 7 + 7 + 1)
    assert_allclose(model.round_seconds(cluster), 1 + 7 + 7 + 1)
    assert model.bytes_on_the_busiest_line(cluster) == (7 + 1) * 1e6


def test_workers_that_find_the_others_busy_ask_again(model):
    """Of 12 workers, one gets the state, ten fetch it at once, and one asks again after these ten."""
    cluster = model.Cluster(12, 0.0, 250_000, 1, n_arrays=1, bytes_per_second=1e6, round_trip=0.0)
    assert model.copies_of_waves(12) == [10, 1]
    found = model.parts_of_round(cluster)
    assert_allclose(found["broadcast"], 10 + 0.15 + 1)
    # 0.15 s after a question 10 s are not over, after 67 of them 10.05 s have passed; tasks combine 8, and 2 averages
    assert_allclose(model.simulate(cluster), 1 + 10.05 + 1 + 7 + 1 + 1)
    # where the scheduler takes longer for a task than a copy takes, nobody is busy
    slower = replace(cluster, task_seconds=1.5)
    assert_allclose(model.parts_of_round(slower)["broadcast"], 10 + 1)


@pytest.mark.parametrize(("n_workers", "copies"), [(1, []), (2, [1]), (11, [10]), (64, [10, 5]), (1024, [10, 10, 8])])
def test_waves_of_fetching(model, n_workers, copies):
    assert model.copies_of_waves(n_workers) == copies


def test_numbers_of_dask_and_of_the_package(model):
    """What the model copies from fastbp.dask and from Dask."""
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    from fastbp.dask.cluster import FAN_IN

    assert model.FAN_IN == FAN_IN
    assert dask.config.get("distributed.worker.connections.incoming") == model.FETCHES_AT_ONCE


def test_latencies_and_tasks(model):
    cluster = model.Cluster(8, 0.0, 0, 1, round_trip=1.0)
    assert_allclose(model.simulate(cluster), 1 + 2 + 1 + 2 + 1)
    assert_allclose(model.round_seconds(cluster), 1 + 2 + 1 + 2 + 1)
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
    assert {row["n_workers"] for row in document["comparison"]} == {1, 2, 4}
    for row in document["comparison"]:
        net = SimpleNamespace(name=row["net"], n_params=document["nets"][row["net"]], batch_size=200)
        run = row["sync_every"], row["n_workers"], document["machine"]["n_cores"]
        expected = model.predict_rate(document["constants"], net, *run)
        assert_allclose(row["predicted_rows_per_second"], expected, rtol=1e-6)


def test_every_comparison_is_on_the_page(report):
    document = json.loads(RESULTS.read_text())
    lines = report.comparison_table(document).splitlines()[2:]
    assert len(lines) == len(document["comparison"])
    assert "| medium, 968,510 parameters | 25 | 1 | 14,100 | 12,800 | -9 % |" in lines


def test_latencies_have_their_prediction(report):
    lines = report.latency_table(json.loads(RESULTS.read_text())).splitlines()
    assert lines[0].endswith("| predicted, ms | difference |")
    assert lines[-2].endswith("| 358 | 97 | 408 | +14 % |")


def test_bytes_of_a_round_are_on_the_page(report):
    *_, line = report.states_table(json.loads(RESULTS.read_text())).splitlines()
    # 10 + 5 copies and the average; 10 + 10 + 8 copies and the average
    megabytes = 12 * 9_697_610 / 1e6
    expected = [report.number(megabytes * n) for n in (1, 16, 29)]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == ["large", "9,697,610", *expected]


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
