"""The edges of bins: frequent values, quantiles of the other rows, and what is too close together."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastbp.layers.bins import bin_edges

rng = np.random.default_rng(0)
N = 2000
#: name: a column
COLUMNS = {
    "normal": rng.normal(size=N),
    "mostly zero": np.where(rng.random(N) < 0.9, 0, rng.lognormal(5, 3, N)),
    "rounded": rng.normal(40, 12, N).round(),
    "frequent values": np.where(rng.random(N) < 0.5, rng.choice([-3.0, 8.0, 40.0], N), rng.uniform(0, 50, N)),
    "few values": rng.choice([1.0, 2.0, 10.0, 1e6], N),
    "binary": rng.integers(0, 2, N).astype(float),
    "missing": np.where(rng.random(N) < 0.3, np.nan, rng.exponential(size=N)),
    "noise of rounding": 0.1 + rng.integers(-3, 4, N) * np.spacing(0.1),
    "far from zero": 1.6e9 + rng.uniform(0, 1e5, N),
    "large": rng.choice([-1.0, 1.0], N) * rng.uniform(0, 1.7e38, N),
    "tiny": rng.uniform(0, 1e-42, N),
    "two scales": np.where(rng.random(N) < 0.5, rng.normal(0, 1e-17, N), rng.normal(size=N)),
    "outlier": np.r_[rng.normal(size=N - 1), 1e12],
}
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@both_dtypes
@pytest.mark.parametrize("n_bins", [1, 2, 7, 32])
@pytest.mark.parametrize("column", COLUMNS)
def test_properties(column, n_bins, dtype):
    x = COLUMNS[column]
    edges = bin_edges(x, n_bins, dtype)
    known = x[~np.isnan(x)].astype(dtype).astype(np.float64)
    assert edges.dtype == np.float64
    assert edges.ndim == 1
    assert 1 <= len(edges) <= n_bins + 1
    assert_array_equal(edges, edges.astype(dtype))  # numbers of the dtype
    assert (np.diff(edges) > 0).all()
    assert known.min() <= edges[0]
    assert edges[-1] <= known.max()
    assert_array_equal(bin_edges(rng.permutation(x), n_bins, dtype), edges)
    # the slope of a bin is finite, and so are the positions in it
    size = np.diff(edges).astype(dtype)
    with np.errstate(over="ignore"):  # a bin as wide as all numbers
        assert np.isfinite(1 / size).all()


def test_frequent_values_are_edges():
    for column in ("mostly zero", "rounded", "frequent values"):
        x = COLUMNS[column]
        values, counts = np.unique(x, return_counts=True)
        heavy = values[counts > N / 32]
        assert len(heavy) >= 1
        assert np.isin(heavy, bin_edges(x, 32)).all()


def test_the_other_edges_are_quantiles_of_the_other_rows():
    x = COLUMNS["mostly zero"]
    edges = bin_edges(x, 32)
    rest = x[x != 0]
    assert len(edges) == 33
    assert edges[0] == 0
    assert_allclose(edges[1:], np.quantile(rest, np.linspace(0, 1, 32)), rtol=1e-13)  # of a fourth of the numbers
    # a plain quantile leaves three edges for these rows
    assert len(np.unique(np.quantile(x, np.linspace(0, 1, 33)))) < 6


def test_all_values_are_edges_if_there_are_few():
    x = COLUMNS["few values"]
    assert_array_equal(bin_edges(x, 3), [1, 2, 10, 1e6])
    assert_array_equal(bin_edges(np.r_[x, np.nan], 32), [1, 2, 10, 1e6])
    assert len(bin_edges(np.arange(34), 32)) == 33
    assert len(bin_edges(np.arange(33), 32)) == 33


def test_no_bins():
    assert_array_equal(bin_edges(np.full(5, 3.0), 32), [3])
    assert bin_edges(np.full(5, np.nan), 32).shape == bin_edges(np.empty(0), 32).shape == (0,)
    assert len(bin_edges(COLUMNS["noise of rounding"], 32)) == 1
    # what float32 cannot tell apart
    x = 1e9 + np.linspace(0, 20, N)
    assert len(bin_edges(x, 32, np.float32)) == 1
    assert len(bin_edges(x, 32)) == 33


def test_edges_are_not_noise():
    """Half of the numbers are 0 up to rounding: they get one edge, not sixteen."""
    edges = bin_edges(COLUMNS["two scales"], 32)
    assert (np.abs(edges) < 1e-6).sum() == 1
    assert len(edges) > 12
    # one number far away takes no edge from the others
    assert (np.abs(bin_edges(COLUMNS["outlier"], 32)) < 4).sum() == 32
