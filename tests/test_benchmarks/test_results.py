"""The results of the benchmarks: every kind of work, files, charts and tables."""

import json
import math
import os
import shutil
import sysconfig
from functools import cache

import pytest

from benchmark_cases import BENCHMARKS, DOCUMENTED, JOBS, ON_LINUX, PEERS, run


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """What a quick run on three small workloads writes."""
    directory = tmp_path_factory.mktemp("benchmark")
    options = [option for name in DOCUMENTED for option in ("--only", name)]
    options += ["--quick", "--peers", "sklearn", "--json", "out.json"]
    printed = run(BENCHMARKS / "train.py", *options, cwd=directory, OPENBLAS_CORETYPE="Haswell")
    assert "4-8-3, float32" in printed
    assert "CSR 50,000-100-20, float32" in printed
    assert "predict one row, 20-64-64-1, float64" in printed
    assert "OPENBLAS_CORETYPE=Haswell is ignored" in printed
    return json.loads((directory / "out.json").read_text())


# Every kind of work

WORK = """
import json
import sys
from dataclasses import replace

from peers import PEERS
from workloads import WORKLOADS

peer, found = PEERS[sys.argv[1]], {}
for job, workload in {workload.job: workload for workload in reversed(WORKLOADS.values())}.items():
    if peer.offers(workload):
        workload = replace(workload.shortened(), n_samples=min(workload.n_samples, 600))
        run = peer.prepare(workload, workload.dtypes[0])
        run(1)
        found[job] = run(2)
for name in ("sparse", "full-batch"):
    if peer.offers(WORKLOADS[name]):
        workload = replace(WORKLOADS[name].shortened(), n_samples=600, batch_size=min(WORKLOADS[name].batch_size, 600))
        found[name] = peer.prepare(workload, "float32")(2)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def work(benchmarks):
    """Gives what the jobs of a peer report; every peer works once."""

    @cache
    def facts_of(peer):
        if not benchmarks("peers").PEERS[peer].is_installed:
            pytest.skip(f"{peer} is not installed")
        # fits of a few epochs do not converge
        return json.loads(run("-c", WORK, peer, cwd=BENCHMARKS, PYTHONWARNINGS="ignore").splitlines()[-1])

    return facts_of


@pytest.mark.skipif(not ON_LINUX, reason="fit_memmap reads /proc")
@pytest.mark.parametrize("peer", PEERS)
def test_every_job_runs(work, peer):
    found = work(peer)
    expected = {
        "fastbp": {*JOBS, "sparse", "full-batch"},
        "sklearn": {*JOBS, "sparse", "full-batch"},
        "torch": {"train", "full-batch", "predict", "predict_row"},
        "jax": {"train", "full-batch", "predict", "predict_row"},
        "onnxruntime": {"predict", "predict_row"},
    }
    assert found.keys() == expected[peer]
    assert found["predict_row"]["seconds"] > 0
    if "fit" in found:
        assert found["fit"] == {"epochs": 20}
        assert found["lbfgs"]["iterations"] == 5
        assert found["lbfgs"]["evaluations"] >= 5


@pytest.mark.skipif(not ON_LINUX, reason="reads /proc")
def test_processes_of_a_search_share_the_cores(work):
    facts = work("fastbp")["grid_search"]
    assert facts["threads_allowed_per_process"] <= max(1, os.cpu_count() // 2)
    # not the maximum: a process has further threads, for its pipes, that run now and then
    assert facts["running_threads_median"] <= max(2, os.cpu_count())


@pytest.mark.skipif(not ON_LINUX, reason="reads /proc")
def test_memory_of_a_fit_from_a_file(work):
    facts = work("fastbp")["fit_memmap"]
    assert facts["file_bytes"] == 600 * 784 * 4
    # the moments of Adam, the rows' numbers and a batch come to less than 2 MB; the rest is room for the allocator
    assert facts["anonymous_growth_bytes"] < 20e6


# What is written


def test_document_describes_the_workload(document):
    small, sparse, _ = document["workloads"]
    assert small["layer_sizes"] == [4, 8, 3]
    assert small["batch_size"] == 32
    assert small["n_samples"] == 64
    assert small["is_shortened"]
    assert small["flops_per_step"] == 8_704
    assert sparse["n_nonzeros_per_row"] == 100
    assert {"cpu", "vendor", "family", "model", "n_cores", "isa", "python", "versions"} <= document["machine"].keys()
    assert document["machine"]["ignored_environment"]["OPENBLAS_CORETYPE"] == "Haswell"


def test_document_has_every_result(document):
    assert document["failures"] == []
    assert document["absent"] == []
    found = {(row["workload"], row["dtype"], row["peer"]) for row in document["results"]}
    assert found == {
        (workload, dtype, peer) for workload, dtype in DOCUMENTED.items() for peer in ("fastbp", "sklearn")
    }


def test_figures_hang_together(document):
    workloads = {workload["name"]: workload for workload in document["workloads"]}
    for row in document["results"]:
        workload, milliseconds = workloads[row["workload"]], row["ms_per_unit"]
        assert math.isfinite(milliseconds)
        assert milliseconds > 0
        assert len(row["samples_ms_per_unit"]) in (document["plan"]["repeats"], document["plan"]["slow_repeats"])
        if row["peer"] == "fastbp":
            assert row["times_slower_than_fastbp"] == 1
        if workload["name"] == "predict-row":
            assert row["us_per_step"] is None
        else:
            assert row["us_per_step"] == pytest.approx(1e3 * milliseconds / workload["steps_per_unit"])
        assert row["share_of_limit"] == pytest.approx(1e3 * row["limit"]["seconds"] / milliseconds)
        assert row["limit"]["seconds"] == max(row["limit"]["fma_seconds"], row["limit"]["memory_seconds"])
        if workload["name"] == "4-8-3":
            rate = workload["flops_per_unit"] / (1e-3 * milliseconds)
            assert row["gflops"] == pytest.approx(1e-9 * rate)
            assert row["share_of_peak"] == pytest.approx(rate / document["fma_peak_flops"][row["dtype"]])
        else:
            assert row["gflops"] is None
        if workload["name"] == "sparse":
            assert row["share_of_copy"] == pytest.approx(row["bytes_per_second"] / document["copy_bytes_per_second"])
        else:
            assert row["bytes_per_second"] is None


def test_parts_of_steps_are_put_into_the_document(tmp_path):
    options = ["--quick", "--only", "4-8-3", "--dtype", "float32", "--peers", "none", "--parts", "all"]
    printed = run(BENCHMARKS / "train.py", *options, "--repeats", "3", "--json", "out.json", cwd=tmp_path)
    (row,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert len(row["samples_ms_per_unit"]) in (1, 3)  # one of a slow unit, with --quick
    assert row["parts"]["parts"].keys() == {"products", "activations", "loss", "update", "gather"}
    assert "fastbp: a step of one thread takes" in printed


def test_a_contender_that_fails_is_named_and_the_rest_goes_on(tmp_path):
    options = ["--quick", "--only", "4-8-3", "--dtype", "float32", "--peers", "sklearn", "--json", "out.json"]
    printed = run(BENCHMARKS / "train.py", *options, cwd=tmp_path, FASTBP_ISA="no such set")
    assert "fastbp failed: ImportError" in printed
    document = json.loads((tmp_path / "out.json").read_text())
    assert [failure["peer"] for failure in document["failures"]] == ["fastbp"]
    assert [row["peer"] for row in document["results"]] == ["sklearn"]
    assert document["results"][0]["times_slower_than_fastbp"] is None


# What is drawn and tabulated


def test_chart(benchmarks, document, tmp_path):
    chart = benchmarks("chart")
    (tmp_path / "figures.json").write_text(json.dumps(document))
    for name in ("speed.svg", "again.svg", "speed.png"):
        chart.main([str(tmp_path / "figures.json"), str(tmp_path / name)])
        assert (tmp_path / name).stat().st_size > 1000
    assert (tmp_path / "speed.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()

    panels = chart.draw(document).axes
    assert [axes.get_title() for axes in panels] == ["float32", "float64"]
    for axes in panels:
        markers, line = axes.lines
        ratios = [
            row["times_slower_than_fastbp"]
            for row in document["results"]
            if row["peer"] == "sklearn" and row["dtype"] == axes.get_title()
        ]
        assert list(markers.get_xdata()) == ratios
        assert list(line.get_xdata()) == [1, 1]


def test_chart_of_nobody_else(benchmarks, document):
    alone = {**document, "results": [row for row in document["results"] if row["peer"] == "fastbp"]}
    with pytest.raises(ValueError, match="at least one peer"):
        benchmarks("chart").draw(alone)


def test_markers_that_would_hide_each_other_are_set_apart(benchmarks):
    offsets = benchmarks("chart").spread({"sklearn": 10.0, "torch": 3.0, "jax": 3.1})
    assert offsets["sklearn"] == 0
    assert offsets["torch"] == -offsets["jax"] != 0


def test_chart_has_a_style_for_every_peer(benchmarks):
    assert set(benchmarks("chart").STYLES) == set(PEERS) - {"fastbp"}


def test_markdown_tables(benchmarks, document):
    printed = benchmarks("markdown_tables").format_document(document)
    lines = printed.splitlines()
    assert document["machine"]["cpu"] in lines[0]
    assert sum(line.startswith("| 4-8-3 | epoch |") for line in lines) == 1
    assert sum(line.startswith("| predict one row, 20-64-64-1 | call |") for line in lines) == 1
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    row = next(row for row in document["results"] if row["peer"] == "sklearn")
    assert f"{benchmarks('report').significant(row['times_slower_than_fastbp'])}×" in printed
    assert benchmarks("standing").describe_standing(document)[0] in printed


def test_markdown_marks_and_explains(benchmarks, document):
    rows = [dict(row) for row in document["results"] if row["workload"] == "4-8-3"]
    rows[0] |= {"share_of_limit": 0.3, "limit_target": 0.5, "parts": {
        "step": 1e-5, "parts": {"products": 1e-5}, "products_at_peak": 5e-6, "update_arithmetic": 0.0,
        "shared_step": 1e-5, "barriers": 0.0, "n_cores": 1,
    }}  # fmt: skip
    rows[1] |= {"times_slower_than_fastbp": 1.1}
    printed = benchmarks("markdown_tables").format_document({**document, "results": rows})
    assert "| **1.10×** |" in printed
    assert "They are bold." in printed
    assert "- 4-8-3, float32, 30 % of the limit" in printed
    assert "less than the 50 % that are aimed at" in printed
    assert "products 10.0 µs (100 %, at 50 % of the FMA peak)" in printed


def has_compiler():
    configured = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split()
    return any(shutil.which(name) for name in [*configured[:1], "cc", "gcc", "clang", "cl"])


@pytest.mark.skipif(not has_compiler(), reason="no C compiler is found")
def test_gemm(tmp_path):
    # it compares every product with NumPy's before it is timed
    run(BENCHMARKS / "gemm.py", "--quick", "--dtype", "float32", "--json", "gemm.json", cwd=tmp_path)
    document = json.loads((tmp_path / "gemm.json").read_text())
    assert document["n_threads"] == 1
    assert {row["product"] for row in document["results"]} == {"Z", "dX", "dW"}
    sizes = {(row["n"], row["k"], row["m"]) for row in document["results"]}
    assert {(8, 8, 8), (64, 64, 64), (200, 784, 100), (200, 100, 10)} <= sizes
    for row in document["results"]:
        assert row["times_faster_than_blas"] == pytest.approx(row["fastbp_gflops"] / row["blas_gflops"])
