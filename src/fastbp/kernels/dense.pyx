"""The public functions of a dense layer, `dense_forward` and `dense_backward`. They call the kernels of training.

    forward     Z = X W + b         A = f(Z)
    backward    delta = dA * f'(Z)
                dX = delta W^T      dW = X^T delta      db = column sums of delta

The backward pass goes through the forward formulas from the last to the first, and multiplies the gradient by the
transposed Jacobian of each. See Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating
errors, or chapter 6.5 of Goodfellow, Bengio and Courville (2016), Deep Learning.
"""

import numpy as np

from libc.stdint cimport int64_t

from fastbp.kernels.dispatch cimport by_rows, kernels_for, kernels_t, repeated, transposed, zero_matrix

from fastbp.kernels._arguments import as_input, as_output, check_name, check_shape
from fastbp.kernels.dispatch import ACTIVATIONS, NEEDS_PREACTIVATION, TABLES, check_available

ctypedef fused real:
    float
    double


cdef void forward(int table, const void *X, const void *W, const void *b, void *Z, void *A, int64_t n,
                  int64_t fan_in, int64_t fan_out, int activation) noexcept nogil:
    cdef const kernels_t *kernels = kernels_for(table)
    kernels.matmul(n, fan_out, fan_in, by_rows(X, fan_in), by_rows(W, fan_out), repeated(b), Z, fan_out)
    kernels.activation_forward(activation, Z, A, n, fan_out)


cdef void backward(int table, void *delta, const void *X, const void *W, const void *Z, const void *A,
                   void *W_transposed, void *dX, void *dW, void *db, int64_t n, int64_t fan_in, int64_t fan_out,
                   int activation) noexcept nogil:
    cdef const kernels_t *kernels = kernels_for(table)
    # forward: A = f(Z)
    kernels.activation_backward(activation, Z, A, delta, n, fan_out)
    # forward: Z = X W + b
    kernels.transpose(W, fan_in, fan_out, W_transposed)
    kernels.matmul(n, fan_in, fan_out, by_rows(delta, fan_out), by_rows(W_transposed, fan_in), zero_matrix(), dX,
                   fan_in)
    kernels.matmul(fan_in, fan_out, n, transposed(X, fan_in), by_rows(delta, fan_out), zero_matrix(), dW, fan_out)
    kernels.column_sums(delta, n, fan_out, db)


def _forward(const real[:, ::1] X, const real[:, ::1] W, const real[::1] b, real[:, ::1] Z, real[:, ::1] A,
             int activation, int table):
    with nogil:
        forward(table, &X[0, 0], &W[0, 0], &b[0], &Z[0, 0], &A[0, 0], X.shape[0], X.shape[1], W.shape[1],
                activation)


def _backward(real[:, ::1] delta, const real[:, ::1] X, const real[:, ::1] W, const real[:, ::1] Z,
              const real[:, ::1] A, real[:, ::1] W_transposed, real[:, ::1] dX, real[:, ::1] dW, real[::1] db,
              int activation, int table):
    with nogil:
        backward(table, &delta[0, 0], &X[0, 0], &W[0, 0], &Z[0, 0], &A[0, 0], &W_transposed[0, 0],
                 &dX[0, 0], &dW[0, 0], &db[0], X.shape[0], X.shape[1], W.shape[1], activation)


def layer_inputs(X, W):
    """X and W, checked: they have the same type, their shapes fit, and neither is empty."""
    X = as_input("X", X, 2)
    W = as_input("W", W, 2, X.dtype)
    for name, array in (("X", X), ("W", W)):
        if array.size == 0:
            raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    check_shape("W", W, (X.shape[1], W.shape[1]))
    return X, W


def products_table(dtype, products):
    """The table of kernels for arrays of a dtype, with products in another precision if that is not None.

    Parameters
    ----------
    dtype : float32 or float64
    products : {"bfloat16"} or None

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is none.
    """
    if products is None:
        return TABLES[dtype.name]
    if products != "bfloat16" or dtype != np.float32:
        raise ValueError(f"products must be None, or 'bfloat16' of float32 arrays, got {products!r} of {dtype}")
    check_available(TABLES[products])
    return TABLES[products]


def dense_forward(X, W, b, activation="identity", out=None, *, Z=None, products=None):
    """One dense layer: ``f(X W + b)``.

    Parameters
    ----------
    X : array-like of shape (n, fan_in), float32 or float64
    W : array-like of shape (fan_in, fan_out), same dtype
    b : array-like of shape (fan_out,), same dtype
    activation : str
        A name in ``fastbp.kernels.ACTIVATIONS``.
    out : ndarray of shape (n, fan_out) or None
        Where to write the result; must be C-contiguous and share no memory with the inputs.
    Z : ndarray of shape (n, fan_out) or None
        Where to write the pre-activation ``X W + b``, which `dense_backward` needs for gelu, silu and mish.
    products : {"bfloat16"} or None
        "bfloat16": the matrix products of float32 arrays are computed in bfloat16, with float32 sums, as in a training
        step of ``dtype="bfloat16"``. None: in the dtype of the arrays.

    Returns
    -------
    A : ndarray of shape (n, fan_out)
        `out`, if it was given.

    Raises
    ------
    TypeError, ValueError
        Naming the argument whose dtype, shape or layout does not fit; also where products in bfloat16 are not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import dense_forward
    >>> dense_forward(np.array([[1.0, 2.0]]), np.array([[3.0], [-4.0]]), np.array([1.0]), "relu")
    array([[0.]])
    """
    X, W = layer_inputs(X, W)
    b = check_shape("b", as_input("b", b, 1, X.dtype), (W.shape[1],))
    number = check_name("activation", activation, ACTIVATIONS)
    shape = (X.shape[0], W.shape[1])
    A = as_output("out", out, shape, X.dtype, (X, W, b))
    Z = A if Z is None else as_output("Z", Z, shape, X.dtype, (X, W, b, A))
    _forward(X, W, b, Z, A, number, products_table(X.dtype, products))
    return A


def dense_backward(dA, X, W, A, activation="identity", dX=None, dW=None, db=None, *, Z=None, products=None):
    """The gradients of one dense layer, given the gradient of its output.

    Parameters
    ----------
    dA : array-like of shape (n, fan_out)
        Gradient of a scalar with respect to ``A = f(X W + b)``.
    X : array-like of shape (n, fan_in)
    W : array-like of shape (fan_in, fan_out)
    A : array-like of shape (n, fan_out)
        What `dense_forward` returned.
    activation : str
        The same name as in the forward pass.
    dX, dW, db : ndarray or None
        Where to write the results; C-contiguous, sharing no memory with the inputs or each other.
    Z : array-like of shape (n, fan_out) or None
        The pre-activation; needed for the activations in ``fastbp.kernels.NEEDS_PREACTIVATION``.
    products : {"bfloat16"} or None
        "bfloat16": the matrix products of float32 arrays are computed in bfloat16, with float32 sums, as in a training
        step of ``dtype="bfloat16"``. None: in the dtype of the arrays.

    Returns
    -------
    dX : ndarray of shape (n, fan_in)
    dW : ndarray of shape (fan_in, fan_out)
    db : ndarray of shape (fan_out,)
        Sums over the n rows, not means.

    Raises
    ------
    TypeError, ValueError
        Naming the argument whose dtype, shape or layout does not fit; also where products in bfloat16 are not possible.
    """
    X, W = layer_inputs(X, W)
    shape = (X.shape[0], W.shape[1])
    number = check_name("activation", activation, ACTIVATIONS)
    dA = check_shape("dA", as_input("dA", dA, 2, X.dtype), shape)
    A = check_shape("A", as_input("A", A, 2, X.dtype), shape)
    if Z is not None:
        Z = check_shape("Z", as_input("Z", Z, 2, X.dtype), shape)
    elif activation in NEEDS_PREACTIVATION:
        raise ValueError(
            f"the derivative of {activation} needs the pre-activation: pass the array Z that "
            "dense_forward(..., Z=array) filled"
        )
    inputs = (dA, X, W, A, *(() if Z is None else (Z,)))
    dX = as_output("dX", dX, X.shape, X.dtype, inputs)
    dW = as_output("dW", dW, W.shape, X.dtype, (*inputs, dX))
    db = as_output("db", db, shape[1:], X.dtype, (*inputs, dX, dW))
    delta = dA.copy()
    table = products_table(X.dtype, products)
    _backward(delta, X, W, A if Z is None else Z, A, np.empty(W.shape[::-1], X.dtype), dX, dW, db, number, table)
    return dX, dW, db
