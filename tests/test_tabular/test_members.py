"""How a member of an ensemble is trained: `estimators/tabular/members.py`."""

from dataclasses import replace

import numpy as np
import pytest

from fastbp import TabularMLPRegressor
from fastbp.estimators.tabular.members import batch_size_of
from fastbp.estimators.tabular.presets import PRESETS


@pytest.mark.parametrize(
    ("preset", "n_rows", "expected"),
    [
        ("default", 8192, 256),
        ("default", 4096, 128),
        ("default", 1024, 64),
        ("default", 320, 32),
        ("default", 160, 16),
        ("default", 12, 12),
        ("best", 8192, 256),
        ("fast", 8192, 128),
        ("fast", 160, 8),
    ],
)
def test_batches_are_small_when_rows_are_few(preset, n_rows, expected):
    cycle = PRESETS["binary"][preset].cycles[0]
    assert batch_size_of(cycle, n_rows) == expected
    assert batch_size_of(replace(cycle, batch_size=10), 100) == 10


@pytest.mark.parametrize("preset", ["fast", "default"])
def test_few_rows_are_enough_for_a_simple_relation(preset):
    X = np.random.default_rng(0).normal(size=(220, 3))
    y = X @ [1.0, -2.0, 0.5] + 100
    model = TabularMLPRegressor(preset=preset, random_state=0).fit(X[:120], y[:120])
    assert model.score(X[120:], y[120:]) > 0.9
