"""The kernels from the Cython code of users: the installed declarations and headers are sufficient to compile it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.kernels
from compiled import compile_module, has_compiler, run_python

MODULE = """
# cython: language_level=3
from fastbp.kernels.dense cimport forward
from fastbp.kernels.dispatch cimport kernels_for

from fastbp.kernels import ACTIVATIONS


def layer(const double[:, ::1] X, const double[:, ::1] W, const double[::1] b, double[:, ::1] A):
    cdef int activation = ACTIVATIONS["tanh"]
    with nogil:
        forward(True, &X[0, 0], &W[0, 0], &b[0], &A[0, 0], &A[0, 0], X.shape[0], X.shape[1], W.shape[1], activation)


def column_sums(const float[:, ::1] X, float[::1] total):
    with nogil:
        kernels_for(False).column_sums(&X[0, 0], X.shape[0], X.shape[1], &total[0])
"""

USE = """
import sys
import numpy as np
from user_of_fastbp import column_sums, layer

with np.load(sys.argv[1]) as arrays:
    X, W, b = arrays["X"], arrays["W"], arrays["b"]
A, total = np.empty((len(X), W.shape[1])), np.empty(X.shape[1], np.float32)
layer(X, W, b, A)
column_sums(np.ones_like(X, dtype=np.float32), total)
np.savez(sys.argv[2], A=A, total=total)
"""


@pytest.mark.skipif(not has_compiler(), reason="no C compiler is found")
def test_kernels_from_cython(tmp_path):
    compile_module(tmp_path, "user_of_fastbp", MODULE)
    rng = np.random.default_rng(0)
    X, W, b = rng.normal(size=(7, 5)), rng.normal(size=(5, 9)), rng.normal(size=9)
    np.savez(tmp_path / "in.npz", X=X, W=W, b=b)
    run_python(tmp_path, "-c", USE, "in.npz", "out.npz")
    with np.load(tmp_path / "out.npz") as results:
        assert_array_equal(results["A"], fastbp.kernels.dense_forward(X, W, b, "tanh"))
        assert_array_equal(results["total"], np.full(5, 7))
