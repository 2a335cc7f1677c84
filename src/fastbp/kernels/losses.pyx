"""Public functions of the losses and their derivatives (`losses.h`).

======================  ========================================================  =====================
name                    loss of a row, summed over its outputs                    canonical activation
======================  ========================================================  =====================
squared_error           (a - y)^2 / 2                                             identity
log_loss                -y log a                                                  softmax
binary_log_loss         -y log a - (1 - y) log(1 - a)                             logistic
poisson                 y log(y / a) - y + a                                      exp
======================  ========================================================  =====================

With its canonical activation the derivative of a loss by the pre-activation z is a - y.
"""

import numpy as np

from fastbp.kernels.dispatch cimport kernels_for

from fastbp.kernels._arguments import as_input, as_output, check_name, check_shape
from fastbp.kernels.dispatch import LOSSES

ctypedef fused real:
    float
    double


def _rows(int loss, const real[:, ::1] Y, const real[:, ::1] A, double[::1] row_loss):
    if Y.size:
        with nogil:
            kernels_for(real is double).loss_rows(loss, &Y[0, 0], &A[0, 0], &row_loss[0], Y.shape[0], Y.shape[1])


def _gradient(int loss, const real[:, ::1] Y, const real[:, ::1] A, real[:, ::1] dA):
    if Y.size:
        with nogil:
            kernels_for(real is double).loss_gradient(loss, &Y[0, 0], &A[0, 0], &dA[0, 0], Y.shape[0], Y.shape[1])


def _curvature(int loss, const real[:, ::1] Y, const real[:, ::1] A, real[:, ::1] d2A):
    if Y.size:
        with nogil:
            kernels_for(real is double).loss_curvature(loss, &Y[0, 0], &A[0, 0], &d2A[0, 0], Y.shape[0], Y.shape[1])


def checked(Y, A, loss):
    """(number of the loss, Y, A), as the kernels take them."""
    number = check_name("loss", loss, LOSSES)
    A = as_input("A", A, 2)
    return number, check_shape("Y", as_input("Y", Y, 2, A.dtype), A.shape), A


def loss_rows(Y, A, loss):
    """The loss of each row.

    Parameters
    ----------
    Y, A : array-like of shape (n, n_outputs), float32 or float64
        Targets, and the network's outputs: probabilities for the log losses (clipped to [eps, 1 - eps] of their
        dtype), positive means for poisson.
    loss : str
        A name in ``fastbp.kernels.LOSSES``.

    Returns
    -------
    row_loss : ndarray of shape (n,), float64
    """
    number, Y, A = checked(Y, A, loss)
    row_loss = np.zeros(A.shape[0])
    _rows(number, Y, A, row_loss)
    return row_loss


def loss_gradient(Y, A, loss, out=None):
    """The gradient of each row's loss with respect to the outputs A.

    Parameters
    ----------
    Y, A, loss
        As for `loss_rows`.
    out : ndarray of shape (n, n_outputs) or None
        Where to write the result.

    Returns
    -------
    dA : ndarray of shape (n, n_outputs)
    """
    number, Y, A = checked(Y, A, loss)
    dA = as_output("out", out, A.shape, A.dtype, (A, Y))
    _gradient(number, Y, A, dA)
    return dA


def loss_curvature(Y, A, loss, out=None):
    """The second derivative of each row's loss with respect to every output; those with respect to two are zero.

    Parameters
    ----------
    Y, A, loss
        As for `loss_rows`.
    out : ndarray of shape (n, n_outputs) or None
        Where to write the result.

    Returns
    -------
    d2A : ndarray of shape (n, n_outputs)
    """
    number, Y, A = checked(Y, A, loss)
    d2A = as_output("out", out, A.shape, A.dtype, (A, Y))
    _curvature(number, Y, A, d2A)
    return d2A
