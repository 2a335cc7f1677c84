"""Public functions of the losses and their derivatives (`losses.h`).

======================  ========================================================  =====================
name                    loss of a row, summed over its outputs                    link
======================  ========================================================  =====================
squared_error           (a - y)^2 / 2                                             identity
log_loss                -y log a                                                  softmax
binary_log_loss         -y log a - (1 - y) log(1 - a)                             logistic
poisson                 y log(y / a) - y + a                                      exp
absolute_error          abs(a - y)                                                identity
huber                   r^2 / 2 up to r = abs(a - y) = delta, then linear         identity
quantile                q (y - a) below y, (1 - q) (a - y) above                  identity
quantiles               the same for several q, a_j = a_(j-1) + softplus(z_j)     identity
gamma                   y / a - log(y / a) - 1                                    exp
tweedie                 half the deviance of a power p, 1 < p < 2                 exp
gaussian                (log(2 pi v) + (y - a)^2 / v) / 2, v = exp(s) + epsilon   identity
======================  ========================================================  =====================

a is the network's output. Training gives a loss the raw output z, and the loss contains its link: a = link(z). For the
first four the derivative by z is then a - y.

The targets of a loss may have fewer columns than the output: see `fastbp.kernels.dispatch.target_width`.
"""

import numpy as np

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastbp.kernels.dispatch cimport LOSS_GIVEN, MAX_LOSS_CONSTANTS, kernels_for, loss_t

from fastbp.kernels._arguments import as_input, check_name, check_shape
from fastbp.kernels.dispatch import LOSS_CONSTANTS, LOSSES, target_width

ctypedef fused real:
    float
    double


cdef int set_loss(loss_t *loss, name, constants, bint is_raw, int64_t n_outputs) except -1:
    """Write what the kernels need to know of a loss; of a custom loss, for which `name` is None, only the widths."""
    memset(loss, 0, sizeof(loss_t))
    loss.is_raw = is_raw
    if name is None:
        loss.kind, loss.target_width = LOSS_GIVEN, n_outputs
        return 0
    loss.kind, loss.target_width = check_name("loss", name, LOSSES), target_width(name, n_outputs)
    is_list = LOSS_CONSTANTS[name] == ("...",)
    if not (1 <= len(constants) <= MAX_LOSS_CONSTANTS if is_list else len(constants) == len(LOSS_CONSTANTS[name])):
        raise ValueError(f"{name} has the constants {LOSS_CONSTANTS[name]}, got {tuple(constants)}")
    for i, constant in enumerate(constants):
        loss.constant[i] = constant
    return 0


def _loss(name, constants, bint is_raw, const real[:, ::1] Y, const real[:, ::1] Z, double[::1] row_loss,
          real[:, ::1] delta):
    cdef loss_t loss
    set_loss(&loss, name, constants, is_raw, Z.shape[1])
    if Z.size:
        with nogil:
            kernels_for(real is double).loss(&loss, &Y[0, 0], &Z[0, 0], &row_loss[0], &delta[0, 0], Z.shape[0],
                                             Z.shape[1])


def _tangent(name, constants, bint is_raw, const real[:, ::1] Y, const real[:, ::1] Z, const real[:, ::1] dZ,
             real[:, ::1] tangent, real[:, ::1] scratch):
    cdef loss_t loss
    set_loss(&loss, name, constants, is_raw, Z.shape[1])
    if Z.size:
        with nogil:
            kernels_for(real is double).loss_tangent(&loss, &Y[0, 0], &Z[0, 0], &dZ[0, 0], &tangent[0, 0],
                                                     &scratch[0, 0], Z.shape[0], Z.shape[1])


def checked(loss, Y, Z, name="Z"):
    """(Y, Z), as the kernels take them."""
    check_name("loss", loss, LOSSES)
    Z = as_input(name, Z, 2)
    return check_shape("Y", as_input("Y", Y, 2, Z.dtype), (len(Z), target_width(loss, Z.shape[1]))), Z


def loss_on_mean(Y, A, loss, constants=()):
    """The loss of each row, and its gradient with respect to the outputs A.

    Parameters
    ----------
    Y : array-like of shape (n, n_targets), float32 or float64
        Targets. For most losses there are as many as outputs: see `fastbp.kernels.dispatch.target_width`.
    A : array-like of shape (n, n_outputs), of the same dtype
        The network's outputs: probabilities for the log losses (clipped to [eps, 1 - eps] of their dtype), positive
        means for poisson.
    loss : str
        A name in ``fastbp.kernels.LOSSES``.
    constants : sequence of float
        Of the loss, in the order of ``fastbp.kernels.dispatch.LOSS_CONSTANTS``.

    Returns
    -------
    row_loss : ndarray of shape (n,), float64
    dA : ndarray of shape (n, n_outputs)
    """
    Y, A = checked(loss, Y, A, "A")
    row_loss, dA = np.zeros(len(A)), np.empty_like(A)
    _loss(loss, constants, False, Y, A, row_loss, dA)
    return row_loss, dA


def loss_on_raw(Y, Z, loss, constants=()):
    """The loss of each row, and its gradient with respect to the raw outputs Z.

    Parameters
    ----------
    Y, loss, constants
        As for `loss_on_mean`.
    Z : array-like of shape (n, n_outputs)
        The network's outputs before the output activation, which is the link of the loss.

    Returns
    -------
    row_loss : ndarray of shape (n,), float64
    delta : ndarray of shape (n, n_outputs)
    """
    Y, Z = checked(loss, Y, Z)
    row_loss, delta = np.zeros(len(Z)), np.empty_like(Z)
    _loss(loss, constants, True, Y, Z, row_loss, delta)
    return row_loss, delta


def loss_on_mean_tangent(Y, A, dA, loss, constants=()):
    """The change of the gradient of `loss_on_mean` when the outputs change by dA: the product of each row's Hessian
    with dA. For a loss that is a sum over the outputs, the Hessian is diagonal.

    Parameters
    ----------
    Y, A, loss, constants
        As for `loss_on_mean`.
    dA : array-like of shape (n, n_outputs)

    Returns
    -------
    ndarray of shape (n, n_outputs)
    """
    Y, A = checked(loss, Y, A, "A")
    dA = check_shape("dA", as_input("dA", dA, 2, A.dtype), A.shape)
    tangent = np.empty_like(A)
    _tangent(loss, constants, False, Y, A, dA, tangent, np.empty_like(A))
    return tangent


def loss_on_raw_tangent(Y, Z, dZ, loss, constants=()):
    """The change of the gradient of `loss_on_raw` when the raw outputs change by dZ: the product of each row's Hessian
    with dZ.

    Parameters
    ----------
    Y, Z, loss, constants
        As for `loss_on_raw`.
    dZ : array-like of shape (n, n_outputs)

    Returns
    -------
    ndarray of shape (n, n_outputs)
    """
    Y, Z = checked(loss, Y, Z)
    dZ = check_shape("dZ", as_input("dZ", dZ, 2, Z.dtype), Z.shape)
    tangent = np.empty_like(Z)
    _tangent(loss, constants, True, Y, Z, dZ, tangent, np.empty_like(Z))
    return tangent
