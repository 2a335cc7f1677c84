"""Public functions of the activations and their derivatives (`activations.h`).

An activation maps the pre-activation z of a layer to its output a. All but softmax work on single elements;
softmax works on rows.
"""

from fastbp.kernels.dispatch cimport kernels_for

from fastbp.kernels._arguments import as_input, as_output, check_name, check_shape
from fastbp.kernels.dispatch import ACTIVATIONS, NEEDS_PREACTIVATION

ctypedef fused real:
    float
    double


def _forward(int activation, const real[:, ::1] Z, real[:, ::1] A):
    if Z.size:
        with nogil:
            kernels_for(real is double).activation_forward(activation, &Z[0, 0], &A[0, 0], Z.shape[0], Z.shape[1])


def _backward(int activation, const real[:, ::1] Z, const real[:, ::1] A, real[:, ::1] delta):
    if Z.size:
        with nogil:
            kernels_for(real is double).activation_backward(activation, &Z[0, 0], &A[0, 0], &delta[0, 0],
                                                            Z.shape[0], Z.shape[1])


def _tangent(int activation, const real[:, ::1] Z, const real[:, ::1] A, const real[:, ::1] Z_tangent,
             const real[:, ::1] A_tangent, const real[:, ::1] dA, real[:, ::1] tangent):
    if Z.size:
        with nogil:
            kernels_for(real is double).activation_backward_tangent(
                activation, &Z[0, 0], &A[0, 0], &Z_tangent[0, 0], &A_tangent[0, 0], &dA[0, 0], &tangent[0, 0],
                Z.shape[0], Z.shape[1])


def activation_forward(Z, activation, out=None):
    """``f(Z)``.

    Parameters
    ----------
    Z : array-like of shape (n, m), float32 or float64
    activation : str
        A name in ``fastbp.kernels.ACTIVATIONS``; softmax works on rows.
    out : ndarray of shape (n, m) or None
        Where to write the result.

    Returns
    -------
    A : ndarray of shape (n, m)
    """
    number = check_name("activation", activation, ACTIVATIONS)
    Z = as_input("Z", Z, 2)
    A = as_output("out", out, Z.shape, Z.dtype, (Z,))
    _forward(number, Z, A)
    return A


def activation_backward(dA, A, activation, out=None, *, Z=None):
    """``dA * f'(z)``, or for softmax the product of each row of dA with the row's Jacobian.

    Parameters
    ----------
    dA, A : array-like of shape (n, m)
        Gradient with respect to the output, and the output.
    activation : str
        A name in ``fastbp.kernels.ACTIVATIONS``.
    out : ndarray of shape (n, m) or None
        Where to write the result.
    Z : array-like of shape (n, m) or None
        The pre-activation; needed for the activations in ``fastbp.kernels.NEEDS_PREACTIVATION``.

    Returns
    -------
    delta : ndarray of shape (n, m)
        Gradient with respect to Z.
    """
    number = check_name("activation", activation, ACTIVATIONS)
    A = as_input("A", A, 2)
    dA = check_shape("dA", as_input("dA", dA, 2, A.dtype), A.shape)
    if Z is None:
        if activation in NEEDS_PREACTIVATION:
            raise ValueError(f"the derivative of {activation} needs the pre-activation Z")
        Z = A
    else:
        Z = check_shape("Z", as_input("Z", Z, 2, A.dtype), A.shape)
    delta = as_output("out", out, A.shape, A.dtype, (dA, A, Z))
    delta[...] = dA
    _backward(number, Z, A, delta)
    return delta


def activation_backward_tangent(dA, dA_tangent, Z, Z_tangent, activation):
    """How ``activation_backward(dA)`` changes when Z and dA move: the second-order part of a Hessian-vector product.

    For the elementwise activations ``dA_tangent * f'(z) + dA * f''(z) * Z_tangent``.

    Parameters
    ----------
    dA, dA_tangent : array-like of shape (n, m), float32 or float64
        Gradient with respect to the output, and its change.
    Z, Z_tangent : array-like of shape (n, m)
        The pre-activation, and its change.
    activation : str
        A name in ``fastbp.kernels.ACTIVATIONS``.

    Returns
    -------
    delta_tangent : ndarray of shape (n, m)

    References
    ----------
    Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6.
    """
    number = check_name("activation", activation, ACTIVATIONS)
    Z = as_input("Z", Z, 2)
    dA, dA_tangent, Z_tangent = (
        check_shape(name, as_input(name, array, 2, Z.dtype), Z.shape)
        for name, array in (("dA", dA), ("dA_tangent", dA_tangent), ("Z_tangent", Z_tangent))
    )
    A = activation_forward(Z, activation)
    # the Jacobian of every activation is symmetric: forward mode and reverse mode are the same product
    A_tangent = activation_backward(Z_tangent, A, activation, Z=Z)
    out = dA_tangent.copy()
    _tangent(number, Z, A, Z_tangent, A_tangent, dA, out)
    return out
