"""The benchmarks: their counts, their kinds of work and their output."""

import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastbp

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PEERS = ("fastbp", "sklearn", "torch", "jax", "onnxruntime")
JOBS = ("train", "lbfgs", "fit", "fit_memmap", "grid_search", "predict", "predict_row")
DOCUMENTED = {"4-8-3": "float32", "sparse": "float32", "predict-row": "float64"}
ON_LINUX = Path("/proc/self/status").exists()


@pytest.fixture(scope="module")
def benchmarks():
    """Imports a module of the benchmark by name; afterwards its names are free again for others."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture(scope="module")
def workloads(benchmarks):
    return benchmarks("workloads")


def run(*arguments, cwd, **environment):
    """Run Python in a process of its own; its standard output."""
    # the package under test, also where it was named by a path relative to another directory
    search_path = os.pathsep.join([str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": search_path, **environment},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


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


# What is counted


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
def test_flops_per_step(benchmarks, layer_sizes, batch_size, expected):
    assert benchmarks("jobs").flops_per_step(layer_sizes, batch_size) == expected


def test_flops_of_an_epoch_count_the_short_batch(benchmarks, workloads):
    workload = workloads.WORKLOADS["4-8-3"]
    assert workload.steps_per_epoch == 5
    full, short = (benchmarks("jobs").flops_per_step((4, 8, 3), n) for n in (32, 22))
    assert workload.flops_per_unit == 4 * full + short


def test_flops_of_a_prediction(workloads):
    # 2·10⁵·(784·100 + 100·10)
    assert workloads.WORKLOADS["predict-rows"].flops_per_unit == 15_880_000_000


def test_bytes_of_a_step_on_sparse_rows(benchmarks, workloads):
    sparse = workloads.WORKLOADS["sparse"]
    n_params = 50_000 * 100 + 100 + 100 * 20 + 20
    assert sparse.flops_per_unit is None
    for itemsize in (4, 8):
        expected = 6 * itemsize * n_params + 256 * 100 * (itemsize + 4)
        assert benchmarks("jobs").bytes_per_step(sparse, itemsize) == expected


def test_two_classes_are_one_logistic_output(workloads):
    workload = workloads.WORKLOADS["20-100-2"]
    assert workload.trained_layer_sizes == (20, 100, 1)
    # 6·200·(20·100 + 100·1) − 2·200·20·100
    assert workload.flops_per_step == 1_720_000


# The lists


def test_every_job_has_a_workload_and_fastbp_does_all(benchmarks, workloads):
    assert set(JOBS) == set(benchmarks("jobs").JOBS) == {workload.job for workload in workloads.WORKLOADS.values()}
    peers = benchmarks("peers").PEERS
    assert tuple(peers) == PEERS
    assert all(peers["fastbp"].offers(workload) for workload in workloads.WORKLOADS.values())


def test_who_takes_part(benchmarks, workloads):
    peers = benchmarks("peers").PEERS

    def names(workload):
        return [name for name, peer in peers.items() if peer.offers(workloads.WORKLOADS[workload])]

    assert names("4-8-3") == ["fastbp", "sklearn", "torch", "jax"]
    assert names("sparse") == names("grid-search") == ["fastbp", "sklearn"]
    assert names("predict-row") == list(PEERS)
    assert names("rows-10000") == ["fastbp"]


def test_large_workloads_are_asked_for(benchmarks):
    train = benchmarks("train")

    def chosen(*options):
        return [workload.name for workload, _ in train.choose(train.parse_arguments(options))]

    assert "memmap" not in chosen()
    assert "memmap" in chosen("--large")
    assert chosen("--only", "memmap") == ["memmap"]
    assert chosen("--only", "depth") == benchmarks("series").SERIES["depth"].members


def test_dtypes_are_the_workloads_own_or_those_asked_for(benchmarks):
    train = benchmarks("train")

    def dtypes(*options):
        ((_, found),) = train.choose(train.parse_arguments(options))
        return found

    assert dtypes("--only", "4-8-3") == ("float32", "float64")
    assert dtypes("--only", "predict-row") == ("float64",)
    assert dtypes("--only", "predict-row", "--dtype", "float32") == ("float32",)
    assert dtypes("--only", "4-8-3", "--quick") == ("float32",)
    assert dtypes("--only", "sparse", "--quick", "--dtype", "both") == ("float32", "float64")


def test_names_and_titles_are_unique(workloads):
    titles = [workload.heading for workload in workloads.WORKLOADS.values()]
    assert len(set(titles)) == len(titles) == len(workloads.WORKLOADS)


# The data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["4-8-3", "20-64-64-1", "20-100-2", "64-100-10", "lbfgs", "fit-iris"])
def test_data(benchmarks, workloads, name, dtype):
    workload = workloads.WORKLOADS[name]
    X, y = benchmarks("data").make_data(workload, dtype)
    assert X.shape == (workload.n_samples, workload.layer_sizes[0])
    assert X.dtype == dtype
    assert y.shape == (workload.n_samples,)
    if workload.task == "classification":
        assert np.array_equal(np.unique(y), np.arange(workload.layer_sizes[-1]))


def test_sparse_data(benchmarks, workloads):
    X, y = benchmarks("data").make_data(workloads.WORKLOADS["sparse"], "float32")
    assert X.format == "csr"
    assert X.dtype == np.float32
    assert X.indices.dtype == np.int32  # what `bytes_per_step` takes for granted
    assert np.array_equal(np.diff(X.indptr), np.full(2_048, 100))
    assert X.has_canonical_format
    assert np.array_equal(np.unique(y), np.arange(20))


# How it is timed


@pytest.mark.parametrize(
    ("value", "printed"), [(None, "-"), (0.012345, "0.0123"), (9.999, "10.0"), (99.96, "100"), (1234.5, "1234")]
)
def test_three_digits(benchmarks, value, printed):
    assert benchmarks("report").significant(value) == printed


class FakeContender:
    """Answers with given times; `seconds` are popped from the front."""

    def __init__(self, name, seconds):
        self.peer, self.n_threads = SimpleNamespace(name=name), 1
        self.busy_cores, self.facts = 1.0, {}
        self.answers, self.asked = list(seconds), []

    def wait_until_ready(self):
        pass

    def seconds(self, count):
        self.asked.append(count)
        return self.answers.pop(0)


def test_a_sample_is_a_difference(benchmarks):
    Timing = benchmarks("measure").Timing
    timing = Timing(FakeContender("a", [1.0, 5.0, 9.0, 1.0]), base=1, units=4, repeats=2, estimate=1.0)
    timing.take_sample(long_first=False)
    assert not timing.is_complete
    timing.take_sample(long_first=True)
    assert timing.samples == [1.0, 2.0]
    assert timing.contender.asked == [1, 5, 5, 1]
    assert timing.is_complete
    assert timing.seconds_per_unit == 1.5


def test_a_unit_that_is_whole_has_no_shorter_run(benchmarks):
    timing = benchmarks("measure").Timing(FakeContender("a", [6.0]), base=0, units=3, repeats=1, estimate=1.0)
    timing.take_sample(long_first=True)
    assert timing.samples == [2.0]
    assert timing.contender.asked == [3]


def test_a_negative_difference_is_taken_again(benchmarks):
    measure = benchmarks("measure")
    timing = measure.Timing(FakeContender("a", [3.0, 2.0, 1.0, 2.0]), base=1, units=1, repeats=1, estimate=1.0)
    timing.take_sample(long_first=False)
    assert timing.samples == [1.0]
    timing = measure.Timing(FakeContender("a", [3.0, 2.0] * 9), base=1, units=1, repeats=1, estimate=1.0)
    with pytest.raises(benchmarks("contender").ContenderError, match="too busy"):
        timing.take_sample(long_first=False)


def test_calibration_grows_until_the_difference_is_long_enough(benchmarks):
    measure, jobs = benchmarks("measure"), benchmarks("jobs")
    plan = replace(measure.FULL, min_seconds=1.0)
    contender = FakeContender("a", [9.0, 0.5, 0.625, 1.5])
    timing = measure.calibrate(contender, jobs.JOBS["train"], plan)
    assert contender.asked == [1, 1, 2, 9]
    assert (timing.base, timing.units, timing.repeats) == (1, 8, plan.repeats)
    assert timing.estimate == 0.125
    slow = measure.calibrate(FakeContender("a", [9.0, 9.0]), jobs.JOBS["grid_search"], plan)
    assert (slow.base, slow.units, slow.repeats) == (0, 1, plan.slow_repeats)


def test_what_is_done_once_is_not_warmed_up(benchmarks):
    contender = FakeContender("a", [7.0])
    measure, jobs = benchmarks("measure"), benchmarks("jobs")
    timing = measure.calibrate(contender, jobs.JOBS["fit_memmap"], measure.FULL)
    assert contender.asked == [1]
    assert timing.samples == [7.0]
    assert timing.is_complete


def test_clearly_slower_numbers_of_threads_are_given_up(benchmarks):
    measure = benchmarks("measure")
    contenders = [FakeContender(name, [seconds] * 2) for name, seconds in [("a", 2.0), ("a", 4.0), ("b", 9.0)]]
    timings, failures = measure.calibrate_all(contenders, benchmarks("jobs").JOBS["fit"], measure.FULL)
    assert [timing.contender for timing in timings] == [contenders[0], contenders[2]]
    assert failures == {}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_contender_that_is_killed_says_so(benchmarks, workloads):
    contender = benchmarks("contender").Contender(
        benchmarks("peers").PEERS["fastbp"], workloads.WORKLOADS["4-8-3"], "float32", None
    )
    contender._process.terminate()
    with pytest.raises(benchmarks("contender").ContenderError, match="killed by SIGTERM"):
        contender.wait_until_ready()
    contender.close()


# What several workloads show together


def test_cost_per_row(benchmarks, workloads):
    series = benchmarks("series").SERIES["rows"]
    members = [workloads.WORKLOADS[name] for name in series.members]
    assert [workload.n_samples for workload in members] == [10_000, 100_000, 1_000_000]
    figures = series.derive(list(zip(members, [1e-3, 1e-2, 1.5e-1], strict=True)))
    assert figures["ns_per_row"] == pytest.approx({10_000: 100, 100_000: 100, 1_000_000: 150})
    # 125 ± 20 %
    assert figures["deviation"] == pytest.approx(0.2)
    assert "±20.0 %" in series.describe(figures)


def test_overhead_per_layer(benchmarks, workloads):
    series = benchmarks("series").SERIES["depth"]
    members = [workloads.WORKLOADS[name] for name in series.members]
    # 3 µs a step and half a microsecond a layer
    seconds = [1e-6 * w.steps_per_epoch * (3 + 0.5 * (len(w.layer_sizes) - 1)) for w in members]
    figures = series.derive(list(zip(members, seconds, strict=True)))
    assert figures["us_per_layer"] == pytest.approx(0.5)
    assert figures["us_besides"] == pytest.approx(3)
    assert "0.500 µs a layer" in series.describe(figures)


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
    assert {"cpu", "n_cores", "isa", "python", "versions"} <= document["machine"].keys()
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


def test_readme_table(benchmarks, document):
    printed = benchmarks("readme_table").format_document(document)
    lines = printed.splitlines()
    assert document["machine"]["cpu"] in lines[0]
    assert sum(line.startswith("| 4-8-3 | epoch |") for line in lines) == 1
    assert sum(line.startswith("| predict one row, 20-64-64-1 | call |") for line in lines) == 1
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    row = next(row for row in document["results"] if row["peer"] == "sklearn")
    assert f"{benchmarks('report').significant(row['times_slower_than_fastbp'])}×" in printed


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
