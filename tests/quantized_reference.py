"""NumPy twins of the kernels for weights of 8 bits, with the same bits: see `quantized.h`."""

import numpy as np

#: Elements of a row whose products are added in integers, before they become a float
RUN = 2**16
F = np.float32


def quantized_rows(X):
    """Rows as ``m + s * u``.

    Parameters
    ----------
    X : ndarray of float32 of shape (n, fan_in)

    Returns
    -------
    u : ndarray of int64 of shape (n, fan_in)
        From 0 to 255; 0 in rows that are constant or not finite.
    s, m : ndarray of float32 of shape (n, 1)
        s is NaN for rows that are not finite.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        m, most = X.min(axis=1, keepdims=True), X.max(axis=1, keepdims=True)
        half_range = F(0.5) * most - F(0.5) * m
        is_finite = np.isfinite(X).all(axis=1, keepdims=True)
        is_wide = is_finite & (half_range > F(2.0**-118))
        s = np.where(is_finite, np.where(is_wide, half_range * (F(2) / F(255)), F(0)), F(np.nan))
        u = np.floor((X * F(0.5) - F(0.5) * m) * (F(255) / half_range) + F(0.5))
    return np.where(is_wide, u, 0).astype(np.int64), s, m


def quantized_dense(X, q, scale, sums, bias):
    """The output of a layer.

    Parameters
    ----------
    X : ndarray of float32 of shape (n, fan_in)
    q : ndarray of int8 of shape (fan_in, fan_out)
    scale, sums, bias : ndarray of float32 of shape (fan_out,)

    Returns
    -------
    ndarray of float32 of shape (n, fan_out)
    """
    u, s, m = quantized_rows(X)
    with np.errstate(invalid="ignore", over="ignore"):
        Z = m * sums + bias
        for start in range(0, X.shape[1], RUN):
            integers = u[:, start : start + RUN] @ q[start : start + RUN].astype(np.int64)
            assert np.abs(integers).max() < 2**31
            Z = integers.astype(F) * scale * s + Z
    return Z


def bound(X, W, scale):
    """The most by which the rounding of rows and weights can change ``X @ W``, for each number of it.

    Parameters
    ----------
    X : ndarray of float32 of shape (n, fan_in)
    W : ndarray of shape (fan_in, fan_out)
    scale : ndarray of float32 of shape (fan_out,)

    Returns
    -------
    ndarray of float64 of shape (n, fan_out)
    """
    u, s, _ = quantized_rows(X)
    s = s.astype(np.float64)
    # in float32 u is rounded from a number that has an error of its own: a little more than half
    return s * (0.5 + 1e-4) * np.abs(W).sum(axis=0) + scale / 2 * (s * u).sum(axis=1, keepdims=True)
