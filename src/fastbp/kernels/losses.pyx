"""Public functions of the losses and their derivatives (`losses.h`).

======================  ========================================================  =====================
name                    loss of a row, summed over its outputs                    link
======================  ========================================================  =====================
squared_error           (a - y)^2 / 2                                             identity
log_loss                -y log a                                                  softmax
binary_log_loss         -y log a - (1 - y) log(1 - a)                             logistic
poisson                 y log(y / a) - y + a                                      exp
======================  ========================================================  =====================

a is the network's output. Training gives a loss the raw output z, and the loss contains its link: a = link(z). For all
four the derivative by z is then a - y.
"""

import numpy as np

from fastbp.kernels.dispatch cimport kernels_for, loss_t

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


def _on_raw(int number, const real[:, ::1] Y, const real[:, ::1] Z, double[::1] row_loss, real[:, ::1] delta):
    cdef loss_t loss
    if Y.size:
        loss.kind, loss.is_raw, loss.target_width = number, True, Y.shape[1]
        with nogil:
            kernels_for(real is double).loss_on_raw(&loss, &Y[0, 0], &Z[0, 0], &row_loss[0], &delta[0, 0], Y.shape[0],
                                                    Y.shape[1])


def checked(Y, A, loss):
    """(number of the loss, Y, A), as the kernels take them."""
    number = check_name("loss", loss, LOSSES)
    A = as_input("A", A, 2)
    return number, check_shape("Y", as_input("Y", Y, 2, A.dtype), A.shape), A


def loss_on_raw(Y, Z, loss):
    """The loss of each row and its gradient with respect to the raw outputs Z, in one pass.

    Parameters
    ----------
    Y, Z : array-like of shape (n, n_outputs), float32 or float64
        Targets, and the network's outputs before the output activation, which is the link of the loss.
    loss : str
        A name in ``fastbp.kernels.LOSSES``.

    Returns
    -------
    row_loss : ndarray of shape (n,), float64
    delta : ndarray of shape (n, n_outputs)
    """
    number = check_name("loss", loss, LOSSES)
    Z = as_input("Z", Z, 2)
    Y = check_shape("Y", as_input("Y", Y, 2, Z.dtype), Z.shape)
    row_loss, delta = np.zeros(Z.shape[0]), np.empty_like(Z)
    _on_raw(number, Y, Z, row_loss, delta)
    return row_loss, delta


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
