"""What tests and benchmarks measure the machine with; `probes.pyx`."""

import time

import numpy as np
import pytest

from fastbp.kernels import fma_peak
from fastbp.kernels.probes import MATH_FUNCTIONS, best_rate, memory_rate


def test_the_table_of_names():
    assert list(MATH_FUNCTIONS.values()) == list(range(len(MATH_FUNCTIONS)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_fma_peak(dtype, n_threads):
    peak = fma_peak(dtype, seconds=0.02, n_threads=n_threads)
    assert isinstance(peak, float)
    assert 0 < peak < np.inf


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_bytes", [64, 2**20])
def test_memory_rate(n_bytes, n_threads):
    rate = memory_rate(n_bytes, seconds=0.02, n_threads=n_threads)
    assert isinstance(rate, float)
    assert 0 < rate < np.inf


def test_memory_rate_needs_a_number_for_each_thread():
    with pytest.raises(ValueError, match="n_bytes must be at least 4 for each of 2 threads, got 7"):
        memory_rate(7, n_threads=2)


def test_the_best_rate_is_summed_over_the_threads():
    # each call does as much as it takes seconds: about one a second, and not less than a call that is interrupted
    def loop(thread):
        begin = time.perf_counter()
        while (spent := time.perf_counter() - begin) < 0.001:
            pass
        return spent * (thread + 1)

    rate = best_rate(loop, seconds=0.05, n_threads=2)
    # threads of Python take turns: each has some of the time, and what it does in it counts
    assert 0 < rate <= 3
