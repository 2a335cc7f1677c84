"""The workloads of the benchmarks: counts of work, data and timing."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark_cases import JOBS, PEERS

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
        self.peer, self.key, self.n_threads = SimpleNamespace(name=name), name, 1
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
    assert [workload.n_samples for workload in members] == [10_000, 100_000, 1_000_000, 10_000_000]
    figures = series.derive(list(zip(members, [1e-3, 1e-2, 1.5e-1, 1.2], strict=True)))
    assert figures["ns_per_row"] == pytest.approx({10_000: 100, 100_000: 100, 1_000_000: 150, 10_000_000: 120})
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
