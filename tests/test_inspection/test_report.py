"""Norms of very small and very large numbers, and tables; `_report.py`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp.inspection._report import norm, number, table


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_norm(scale):
    assert_allclose(norm(np.array([[3.0, 0], [0, -4]]) * scale), 5 * scale, rtol=1e-14)


def test_norm_of_float32_is_exact():
    values = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    assert_allclose(norm(values), np.linalg.norm(values.astype(np.float64)), rtol=1e-7)


def test_norm_of_what_is_not_finite():
    assert norm(np.array([1, np.inf])) == np.inf
    assert np.isnan(norm(np.array([1, np.nan, np.inf])))
    assert norm(np.zeros((2, 0))) == norm(np.zeros(3)) == 0


def test_table():
    text = table(("name", "n"), [("a", 12), ("longer", 3)])
    assert text.splitlines() == ["name     n", "a       12", "longer   3"]


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1.23e+03"), (0.25, "0.25"), (np.nan, "-"), (None, "-")])
def test_number(value, text):
    assert number(value) == text
