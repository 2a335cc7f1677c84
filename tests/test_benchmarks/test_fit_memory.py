"""The memory of `fit`: at most 1.1 times the workspace of a batch and 4 times the parameters, and some bytes a row."""

from itertools import pairwise

import numpy as np
import pytest

from fastbp import MLPRegressor

#: Objects of Python: estimators, networks and programs
OBJECTS = 200_000


@pytest.mark.parametrize(
    ("n_rows", "n_features", "hidden", "shuffle", "bytes_per_row"),
    [
        # the targets, in float32
        (50_000, 20, (100,), False, 4),
        # and the order of the rows
        (50_000, 20, (100,), True, 12),
        (2_000, 1_000, (300, 200), True, 12),
    ],
)
def test_memory_of_a_fit(benchmarks, n_rows, n_features, hidden, shuffle, bytes_per_row):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n_rows, n_features), np.float32), rng.standard_normal(n_rows).astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=hidden, shuffle=shuffle, batch_size=100, max_iter=2, random_state=0)
    found = benchmarks("fit_memory").measure(model, X, y, 100)
    layers = [n_features, *hidden, 1]
    # at the least: what each row of a batch leaves behind in every layer, and two moments with the parameters
    assert found["workspace"] > 4 * 100 * sum(layers[1:])
    assert found["parameters"] == 4 * sum((a + 1) * b for a, b in pairwise(layers))
    assert 3 * found["parameters"] < found["peak"] <= found["limit"] + bytes_per_row * n_rows + OBJECTS


def test_a_case_and_its_line(benchmarks):
    fit_memory = benchmarks("fit_memory")
    row = fit_memory.run(fit_memory.Case("4-8-3", "float32"))
    assert row["X"] == 150 * 4 * 4
    assert row["limit"] == int(1.1 * row["workspace"] + 4 * row["parameters"])
    assert "4-8-3 float32" in fit_memory.format_row(row)
