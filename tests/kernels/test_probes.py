"""What tests and benchmarks measure the machine with; `probes.pyx`."""

import numpy as np
import pytest

from fastbp.kernels import fma_peak
from fastbp.kernels.probes import MATH_FUNCTIONS


def test_the_table_of_names():
    assert list(MATH_FUNCTIONS.values()) == list(range(len(MATH_FUNCTIONS)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_fma_peak(dtype, n_threads):
    peak = fma_peak(dtype, seconds=0.02, n_threads=n_threads)
    assert isinstance(peak, float)
    assert 0 < peak < np.inf
