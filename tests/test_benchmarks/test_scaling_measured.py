"""What is measured for the cost model; `benchmarks/rounds.py`, `benchmarks/scaling.py` and `benchmarks/latency.py`."""

import json
import logging
import subprocess
from types import SimpleNamespace

import pytest
from numpy.testing import assert_allclose

distributed = pytest.importorskip("distributed")

# the workers are threads here, and warnings.catch_warnings is for one thread
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def rounds(benchmarks):
    return benchmarks("rounds")


@pytest.fixture(scope="module")
def scaling(benchmarks):
    return benchmarks("scaling")


@pytest.fixture(scope="module")
def client():
    """A client of two workers, threads of this process."""
    options = dict(n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None)
    cluster = distributed.LocalCluster(**options, silence_logs=logging.CRITICAL)
    with cluster, distributed.Client(cluster) as client:
        yield client


def test_rows_lie_on_every_worker(rounds, client):
    X, y, blocks = rounds.place_rows(client, rounds.TINY, 30)
    assert (X.shape, y.shape, X.chunks[0]) == ((60, 10), (60,), (30, 30))
    holders = [client.who_has(block)[block.key] for block in blocks]
    assert sorted(holders) == sorted((worker,) for worker in client.nthreads())


def test_steps_of_all_workers(rounds, client):
    assert 0 < rounds.measure_step(client, rounds.TINY, n_steps=500, epochs=4) < 1
    assert rounds.processor_seconds(client) > 0


def test_rounds_and_rates(rounds, scaling, client, monkeypatch):
    tiny = rounds.TINY
    monkeypatch.setattr(scaling, "ROUNDS", 2)
    monkeypatch.setattr(scaling, "COMPARED", [(tiny, 3)])
    monkeypatch.setattr(scaling, "with_workers", lambda n_workers, measure: measure(client))
    constants = {"step_seconds": {"1": {"tiny": 1e-4}, "2": {"tiny": 1e-4}}, "copy_seconds": 0.0}
    constants |= {"round_seconds": 0.01, "task_seconds": 0.001, "worker_seconds": 0.001}
    (row,) = scaling.compare(constants, 2)
    assert (row["net"], row["sync_every"], row["n_workers"]) == ("tiny", 3, 2)
    assert row["predicted_rows_per_second"] > 0
    # a round takes some milliseconds at least, and less than a minute
    assert 2 * 3 * 200 / 60 < row["rows_per_second"] < 2 * 3 * 200 / 0.001


def test_the_client_of_the_latencies(benchmarks, rounds, client, monkeypatch, capsys):
    latency = benchmarks("latency")
    monkeypatch.setattr(rounds, "SMALL", rounds.TINY)
    monkeypatch.setattr(latency, "FEWEST_ROUNDS", 2)
    monkeypatch.setattr(rounds, "measure_step", lambda client, net: 1e-5)
    address = client.scheduler_info()["address"]
    latency.measure_as_client(SimpleNamespace(scheduler=address, workers=2, rounds=1, sync_every=[3]))
    (row,) = json.loads(capsys.readouterr().out)
    assert row["sync_every"] == 3
    assert 0.9 < row["not_steps"] < 1
    assert_allclose(row["not_steps"], 1 - 3 * 1e-5 / row["seconds_per_round"])


def hosts_that_print(output, commands):
    """Three hosts, on which every command only prints `output`, and is put into `commands`."""

    def start(host, command, **streams):
        commands.append((host, command[2:]))
        return subprocess.Popen(["printf", "%s", output], **streams)

    return SimpleNamespace(addresses=["10.0.0.1", "10.0.0.2", "10.0.0.3"], start=start)


def test_the_client_is_started_on_the_first_host(benchmarks):
    commands, options = [], SimpleNamespace(rounds=7, sync_every=[10, 100])
    hosts = hosts_that_print('[{"sync_every": 10}]', commands)
    assert benchmarks("latency").run_client(hosts, "tcp://10.0.0.1:8786", options) == [{"sync_every": 10}]
    expected = "--scheduler tcp://10.0.0.1:8786 --workers 2 --rounds 7 --sync-every 10 --sync-every 100"
    assert commands == [(0, expected.split())]


def test_a_client_that_fails(benchmarks):
    options = SimpleNamespace(rounds=7, sync_every=[10])
    with pytest.raises(RuntimeError, match="the client failed"):
        benchmarks("latency").run_client(hosts_that_print("", []), "tcp://10.0.0.1:8786", options)


@pytest.mark.parametrize("n_cores", [1, 2, 8])
def test_constants_are_found_again(benchmarks, rounds, scaling, monkeypatch, n_cores):
    """Measurements that the model has made lead to its constants."""
    model = benchmarks("cost_model")
    known = {"task_seconds": 0.002, "worker_seconds": 0.004}
    here = model.on_one_machine(n_cores)
    steps = {"tiny": 1e-5, "small": 1e-3, "medium": 0.013, "large": 0.15}

    def of_tiny(n):
        seconds = model.simulate(model.Cluster(n, 0.0, 0, 1, round_seconds=0.02, **known, **here))
        tasks = model.count_tasks(n)
        return [seconds, 0.005 + tasks * known["task_seconds"], tasks * known["worker_seconds"]]

    medium = model.Cluster(2, 0.013, rounds.MEDIUM.n_params, 1, copy_seconds=1e-9, round_seconds=0.02, **known, **here)

    def with_workers(n_workers, measure):
        measured = {scaling.measure_steps: lambda: steps, scaling.measure_overheads: lambda: of_tiny(n_workers)}
        return measured.get(measure, lambda: model.simulate(medium))()

    monkeypatch.setattr(scaling, "with_workers", with_workers)
    found = scaling.calibrate(n_cores)
    assert set(found["step_seconds"]) == {str(min(n, n_cores)) for n in scaling.WORKERS}
    for name, value in {**known, "round_seconds": 0.02, "copy_seconds": 1e-9}.items():
        assert_allclose(found[name], value, rtol=1e-6)
    for n_workers in scaling.WORKERS:
        assert model.predict_rate(found, rounds.SMALL, 10, n_workers, n_cores) > 0
