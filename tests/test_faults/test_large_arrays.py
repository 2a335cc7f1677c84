"""X with more than 2^31 elements in an estimator."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPRegressor

N_ROWS, N_FEATURES = 2**15 + 64, 2**16


def available_bytes():
    """Memory that can be used without swapping, or 0 if it is not known."""
    if not os.path.exists("/proc/meminfo"):
        return 0
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


@pytest.mark.fault(18)
def test_a_stride_of_zero():
    # the kernels want rows one after the other, so that the view is written out
    if available_bytes() < 12e9:
        pytest.skip("needs 9 GB of memory")
    row = np.random.default_rng(0).normal(size=(1, N_FEATURES)).astype(np.float32)
    X = np.broadcast_to(row, (N_ROWS, N_FEATURES))
    assert X.strides[0] == 0
    assert X.size > 2**31
    y, weight = np.linspace(0, 1, N_ROWS, dtype=np.float32), np.zeros(N_ROWS)
    last = slice(2**15, None)  # rows beyond 2^31 elements; batches without weight are skipped
    weight[last] = 1
    params = dict(hidden_layer_sizes=(1,), solver="sgd", batch_size=64, shuffle=False, random_state=0)
    model = MLPRegressor(**params).partial_fit(X, y, weight)
    few = MLPRegressor(**params).partial_fit(X[last], y[last], weight[last])
    for W, expected in zip(model.coefs_, few.coefs_, strict=True):
        assert_array_equal(W, expected)
