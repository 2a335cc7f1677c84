"""The limit of the machine, the parts of a step, and where fastbp stands beside the best peer."""

import json
from dataclasses import replace

import pytest

from benchmark_cases import BENCHMARKS, run


@pytest.fixture
def rates(benchmarks):
    # a core of 100 GFLOP/s with 64 KB of cache
    return benchmarks("roofline").Rates({"float32": 1e11}, {2**14: 4e11, 2**15: 3e11, 2**16: 3.5e11, 2**20: 1e10})


@pytest.mark.parametrize(
    ("n_bytes", "rate"),
    # 32 KB were measured to be slower than 64 KB, and are not; what is larger than all goes at the rate of the largest
    [(1, 4e11), (2**14, 4e11), (2**14 + 1, 3.5e11), (2**16, 3.5e11), (2**16 + 1, 1e10), (2**30, 1e10)],
)
def test_rate_of_a_size(rates, n_bytes, rate):
    assert rates.of_size(n_bytes) == rate


def test_traffic_of_an_epoch(benchmarks, workloads):
    roofline = benchmarks("roofline")
    rows, passes, update = roofline.epoch_traffic(workloads.WORKLOADS["20-64-64-1"], 4)
    params = 20 * 64 + 64 + 64 * 64 + 64 + 64 + 1
    assert (rows.n_bytes, rows.lies_in) == (10_000 * 20 * 4, 10_000 * 20 * 4)
    # 79 steps; the first layer has no backward pass to its input
    assert passes.n_bytes == 79 * 4 * (params + params - 21 * 64)
    assert update.n_bytes == 79 * 4 * 6 * params
    assert passes.lies_in == update.lies_in == 3 * 4 * params


def test_traffic_of_sparse_rows_is_that_of_jobs(benchmarks, workloads):
    sparse = workloads.WORKLOADS["sparse"]
    total = sum(t.n_bytes for t in benchmarks("roofline").epoch_traffic(sparse, 8))
    behind = 8 * 2 * (100 * 20 + 20)
    assert total == sparse.steps_per_epoch * (benchmarks("jobs").bytes_per_step(sparse, 8) + behind)


def test_limit_is_the_larger_of_both(benchmarks, workloads, rates):
    roofline, workload = benchmarks("roofline"), workloads.WORKLOADS["20-100-2"]
    limit = roofline.limit_of(workload, "float32", rates, {})
    assert limit["fma_seconds"] == pytest.approx(workload.flops_per_unit / 1e11)
    # X has 800 KB; the parameters and moments of 20-100-1 have 26 KB, of which 2301 numbers are read in both passes
    assert limit["memory_seconds"] == pytest.approx(800_000 / 1e10 + 50 * 4 * (2_201 + 101 + 6 * 2_201) / 3.5e11)
    assert (limit["bound"], limit["seconds"]) == ("FMA", limit["fma_seconds"])
    slow = replace(rates, memory={2**20: 1e8})
    limit = roofline.limit_of(workload, "float32", slow, {})
    assert (limit["bound"], limit["seconds"]) == ("memory", limit["memory_seconds"])


def test_limit_of_other_work(benchmarks, workloads, rates):
    limit_of, found = benchmarks("roofline").limit_of, workloads.WORKLOADS

    def fma_seconds(name, **facts):
        return limit_of(found[name], "float32", rates, facts)["fma_seconds"]

    assert fma_seconds("predict-rows") == pytest.approx(15_880_000_000 / 1e11)
    assert fma_seconds("fit-iris", epochs=7) == pytest.approx(7 * found["fit-iris"].flops_per_step / 1e11)
    assert fma_seconds("lbfgs", evaluations=9) == pytest.approx(9 * found["lbfgs"].flops_per_step / 1e11)
    assert fma_seconds("sparse") == 0
    assert limit_of(found["grid-search"], "float32", rates, {}) is None
    assert limit_of(found["20-100-2"], "float64", rates, {}) is None
    assert limit_of(found["20-100-2"], "float32", replace(rates, memory={}), {}) is None


def test_targets(benchmarks, workloads):
    target_of, found = benchmarks("roofline").target_of, workloads.WORKLOADS
    assert target_of(found["20-100-2"]) == target_of(found["20-64-64-1"]) == target_of(found["rows-10000"]) == 0.5
    assert target_of(found["784-512-256-10"]) == target_of(found["2000-300-1"]) == 0.75
    for name in ("4-8-3", "online", "depth-2", "sparse", "fit-iris", "predict-rows"):
        assert target_of(found[name]) is None


def test_parts_add_up_to_the_step(benchmarks):
    parts = benchmarks("parts")
    times = {"shared": 7e-5, "indexed": 10e-5, "standing": 9e-5, "gradients": 6e-5, "linear": 5e-5}
    found = parts.parts_from(times, {"batch": 6e-6, "row": 1e-6}, 2e-6, 4e-5, 2)
    expected = {"products": 4.3e-5, "activations": 1e-5, "loss": 5e-6, "update": 3.2e-5, "gather": 1e-5}
    assert found["parts"] == pytest.approx(expected)
    assert sum(found["parts"].values()) == pytest.approx(found["step"])
    assert found["update_arithmetic"] == pytest.approx(3.2e-5)  # at most the update
    assert found["barriers"] == pytest.approx(2e-5)
    lines = parts.describe_parts({**found, "products_at_peak": 2.15e-5}, benchmarks("report").significant)
    assert "products 43.0 µs (43 %, at 50 % of the FMA peak)" in lines[0]
    assert "2 cores takes 70.0 µs, 20.0 µs more than half" in lines[1]


@pytest.mark.parametrize("name", ["20-64-64-1", "13-37-29-5", "online"])
def test_parts_are_measured(tmp_path, name):
    found = json.loads(run(BENCHMARKS / "parts.py", name, "float32", "2", "short", cwd=tmp_path))
    assert sum(found["parts"].values()) == pytest.approx(found["step"])
    assert found["step"] > 0
    assert found["shared_step"] > 0
    assert found["products_at_peak"] > 0


def test_failure_of_the_parts_is_told(benchmarks, workloads, monkeypatch):
    monkeypatch.setenv("FASTBP_ISA", "no such set")
    parts, short = benchmarks("parts"), workloads.WORKLOADS["4-8-3"].shortened()
    with pytest.raises(RuntimeError, match=r"parts\.py failed: ImportError"):
        parts.parts_in_process(short, "float32", 1)


# Beside the best peer


def a_document(ratios):
    """Results of two workloads in float32, from peer to ratio."""
    results = [
        {"workload": workload, "dtype": "float32", "peer": peer, "times_slower_than_fastbp": ratio}
        for workload, by_peer in ratios.items()
        for peer, ratio in {"fastbp": 1.0, **by_peer}.items()
    ]
    machine = {"cpu": "A 1", "n_cores": 2, "isa": "avx2", "vendor": "V", "family": "6", "model": "85"}
    return {
        "machine": machine,
        "fma_peak_flops": {"float32": 2.5e11},
        "copy_bytes_per_second": 2.79e10,
        "workloads": [{"name": name, "title": name.upper()} for name in ratios],
        "results": results,
    }


def test_rows_below_the_goal_are_named_with_the_machine(benchmarks):
    document = a_document({"a": {"sklearn": 3.0, "jax": 1.2}, "b": {"torch": 1.25, "jax": None}})
    sentence, row = benchmarks("standing").describe_standing(document)
    assert sentence.startswith(
        "On V family 6 model 85 (A 1, 2 cores, avx2), FMA peak float32 250 GFLOP/s, copy 27.9 GB/s: 1 of 2 rows"
    )
    assert row.strip() == "A, float32: 1.20 times (JAX)"


def test_when_no_row_is_below_the_least_is_named(benchmarks):
    document = a_document({"a": {"sklearn": 3.0}, "b": {"torch": 1.25}})
    (sentence,) = benchmarks("standing").describe_standing(document)
    assert sentence.endswith("all 2 rows are at least 1.25 times as fast as the best peer. Least: B, float32: "
                             "1.25 times (PyTorch).")  # fmt: skip
    assert benchmarks("standing").describe_standing(a_document({"a": {}})) == []
