"""The benchmark counts FLOPs as it says, and writes figures that hang together."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def workloads():
    """The module `benchmarks/workloads.py`, under a name that clashes with nothing."""
    name = "fastbp_benchmark_workloads"
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / "workloads.py")
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up while it is being made.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """What a quick run on the smallest workload writes."""
    directory = tmp_path_factory.mktemp("benchmark")
    options = ["--quick", "--only", "4-8-3", "--peers", "sklearn", "--json", "out.json"]
    process = subprocess.run(
        [sys.executable, str(BENCHMARKS / "train.py"), *options],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert "4-8-3, float32" in process.stdout
    return json.loads((directory / "out.json").read_text())


@pytest.mark.parametrize(
    ("layer_sizes", "batch_size", "expected"),
    [
        # One layer: 2·2·3 for the forward pass, as much for dW, no dX.
        ((2, 3), 1, 24),
        # 6·32·(4·8 + 8·3) − 2·32·4·8
        ((4, 8, 3), 32, 8_704),
        # 6·128·(20·64 + 64·64 + 64·1) − 2·128·20·64
        ((20, 64, 64, 1), 128, 3_850_240),
    ],
)
def test_flops_per_step(workloads, layer_sizes, batch_size, expected):
    assert workloads.flops_per_step(layer_sizes, batch_size) == expected


def test_flops_of_an_epoch_count_the_short_batch(workloads):
    workload = workloads.WORKLOADS["4-8-3"]
    assert workload.steps_per_epoch == 5
    full, short = (workloads.flops_per_step((4, 8, 3), n) for n in (32, 22))
    assert workload.flops_per_epoch == 4 * full + short


def test_two_classes_are_one_logistic_output(workloads):
    workload = workloads.WORKLOADS["20-100-2"]
    assert workload.trained_layer_sizes == (20, 100, 1)
    # 6·200·(20·100 + 100·1) − 2·200·20·100
    assert workload.flops_per_step == 1_720_000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data(workloads, dtype):
    for name in ("4-8-3", "20-64-64-1", "20-100-2", "64-100-10"):
        workload = workloads.WORKLOADS[name]
        X, y = workloads.make_data(workload, dtype)
        assert X.shape == (workload.n_samples, workload.layer_sizes[0])
        assert X.dtype == dtype
        assert y.shape == (workload.n_samples,)
        if workload.task == "classification":
            assert np.array_equal(np.unique(y), np.arange(workload.layer_sizes[-1]))


def test_document_describes_the_workload(document):
    (workload,) = document["workloads"]
    assert workload["layer_sizes"] == [4, 8, 3]
    assert workload["batch_size"] == 32
    assert workload["n_samples"] == 150
    assert workload["flops_per_step"] == 8_704
    assert {"cpu", "n_cores", "python", "versions"} <= document["machine"].keys()


def test_document_has_every_result(document):
    assert document["failures"] == []
    assert document["absent"] == []
    found = {(row["workload"], row["dtype"], row["peer"]) for row in document["results"]}
    assert found == {("4-8-3", dtype, peer) for dtype in ("float32", "float64") for peer in ("fastbp", "sklearn")}


def test_figures_hang_together(document):
    (workload,) = document["workloads"]
    for row in document["results"]:
        milliseconds = row["ms_per_epoch"]
        assert math.isfinite(milliseconds)
        assert milliseconds > 0
        assert len(row["samples_ms_per_epoch"]) == document["plan"]["repeats"]
        assert row["us_per_step"] == pytest.approx(1e3 * milliseconds / 5)
        rate = workload["flops_per_epoch"] / (1e-3 * milliseconds)
        assert row["gflops"] == pytest.approx(1e-9 * rate)
        peak = document["fma_peak_flops"][row["dtype"]]
        assert row["share_of_peak"] == pytest.approx(rate / peak)
        if row["peer"] == "fastbp":
            assert row["times_slower_than_fastbp"] == 1
