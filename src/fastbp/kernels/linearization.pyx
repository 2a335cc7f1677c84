"""A forward pass that is kept, and the products with its Jacobian: what every derivative of a network is made of.

A layer maps a to f(a W + b). The local Jacobians of its two steps are W^T and diag f'(z) (for softmax, diag a - a a^T),
so that with a change ``da`` of the input, and a gradient ``dA`` of the output of a layer::

    push    dz = da W  (+ a dW + db)        da' = J_f dz          forward mode, first layer to last
    pull    delta = J_f^T dA'               dA  = delta W^T       reverse mode, last layer to first

The Jacobian J_f of every activation is symmetric, and one kernel does both products with it. The Hessian-vector product
is the change of the pull along a push (Pearlmutter, 1994, Fast exact multiplication by the Hessian).
"""

import numpy as np

from libc.stdint cimport int64_t

from fastbp.kernels.data cimport address
from fastbp.kernels.dispatch cimport kernels_for, kernels_t

from fastbp.kernels.data import check, check_layers
from fastbp.kernels.dispatch import ACTIVATIONS, NEEDS_PREACTIVATION

NEEDS_Z = {ACTIVATIONS[name] for name in NEEDS_PREACTIVATION}


def transposed_weights(const int64_t[:, ::1] layers, params):
    """The transpose of every weight matrix of a flat parameter vector, at its place in a flat vector."""
    check_layers(layers, len(params))
    out = np.empty_like(params)
    cdef const kernels_t *kernels = kernels_for(params.dtype == np.float64)
    cdef char *source = <char *> address(params)
    cdef char *target = <char *> address(out, True)
    cdef int64_t layer, itemsize = params.itemsize
    for layer in range(layers.shape[0]):
        kernels.transpose(source + layers[layer, 2] * itemsize, layers[layer, 0], layers[layer, 1],
                          target + layers[layer, 2] * itemsize)
    return out


cdef class Linearization:
    """One forward pass over the rows of X, and what can be derived from it.

    The arrays handed in are neither copied nor written to; they must stay as they are while this object is used. One
    thread may use it at a time.

    Parameters
    ----------
    layers : ndarray of int64 of shape (n_layers, 5)
        As for `Plan`.
    params, transposed : ndarray of shape (n_params,)
        The flat parameters, and `transposed_weights` of them.
    X : ndarray of shape (n, n_features), C-contiguous
        At least one row; of the parameters' dtype.
    """

    cdef const kernels_t *kernels
    cdef const int64_t[:, ::1] layers
    cdef char *params
    cdef char *transposed
    cdef char *X
    cdef char *ones
    cdef int64_t n, n_layers, widest, itemsize
    cdef object arrays, dtype
    cdef list z, a, dz, da

    def __init__(self, const int64_t[:, ::1] layers, params, transposed, X):
        check_layers(layers, len(params))
        self.dtype = params.dtype
        self.kernels = kernels_for(self.dtype == np.float64)
        check("X", X, self.dtype, (len(X), layers[0, 0]))
        check("transposed", transposed, self.dtype, params.shape)
        self.layers, self.n_layers, self.n, self.itemsize = layers, layers.shape[0], len(X), params.itemsize
        self.widest = np.asarray(layers)[:, :2].max()
        ones = np.ones(self.n, self.dtype)
        self.arrays = (params, transposed, X, ones)
        self.params, self.transposed = <char *> address(params), <char *> address(transposed)
        self.X, self.ones = <char *> address(X), <char *> address(ones)
        self.a = self.room()
        # f' is written with a where it can be; the last z is what a loss of the user's is given
        self.z = [a if layer < self.n_layers - 1 and layers[layer, 4] not in NEEDS_Z else np.empty_like(a)
                  for layer, a in enumerate(self.a)]
        self.forward()

    def room(self):
        """An array for the units of every layer."""
        return [np.empty((self.n, self.layers[layer, 1]), self.dtype) for layer in range(self.n_layers)]

    cdef char *weights(self, char *flat, int64_t layer) noexcept nogil:
        return flat + self.layers[layer, 2] * self.itemsize

    cdef char *biases(self, char *flat, int64_t layer) noexcept nogil:
        return flat + self.layers[layer, 3] * self.itemsize

    cdef char *input_of(self, int64_t layer) except NULL:
        return self.X if layer == 0 else <char *> address(self.a[layer - 1])

    cdef void times_weights(self, int64_t layer, const char *x, char *flat, const char *init, int64_t init_row,
                            char *out) noexcept nogil:
        """out = init + x W, with the W of a layer in `flat`."""
        cdef int64_t fan_in = self.layers[layer, 0], fan_out = self.layers[layer, 1]
        self.kernels.matmul(self.n, fan_out, fan_in, x, fan_in, 1, self.weights(flat, layer), fan_out, init, init_row,
                            out, fan_out)

    cdef void times_transposed(self, int64_t layer, const char *delta, char *flat, const char *init,
                               char *out) noexcept nogil:
        """out = init + delta W^T, with the W^T of a layer in `flat`."""
        cdef int64_t fan_in = self.layers[layer, 0], fan_out = self.layers[layer, 1]
        self.kernels.matmul(self.n, fan_in, fan_out, delta, fan_out, 1, self.weights(flat, layer), fan_in, init, fan_in,
                            out, fan_in)

    cdef void add_weight_gradient(self, int64_t layer, const char *x, const char *delta, char *flat) noexcept nogil:
        """dW += x^T delta"""
        cdef int64_t fan_in = self.layers[layer, 0], fan_out = self.layers[layer, 1]
        cdef char *dW = self.weights(flat, layer)
        self.kernels.matmul(fan_in, fan_out, self.n, x, 1, fan_in, delta, fan_out, dW, fan_out, dW, fan_out)

    cdef void add_bias_gradient(self, int64_t layer, const char *delta, char *flat) noexcept nogil:
        """db += 1^T delta"""
        cdef int64_t fan_out = self.layers[layer, 1]
        cdef char *db = self.biases(flat, layer)
        self.kernels.matmul(1, fan_out, self.n, self.ones, self.n, 1, delta, fan_out, db, 0, db, fan_out)

    cdef int through_activation(self, int64_t layer, char *gradient) except -1:
        """gradient = J_f gradient, in place: J_f is symmetric."""
        cdef char *z = <char *> address(self.z[layer])
        cdef char *a = <char *> address(self.a[layer])
        with nogil:
            self.kernels.activation_backward(<int> self.layers[layer, 4], z, a, gradient, self.n, self.layers[layer, 1])
        return 0

    cdef int forward(self) except -1:
        cdef int64_t layer
        cdef char *x
        cdef char *z
        cdef char *a
        for layer in range(self.n_layers):
            x, z, a = self.input_of(layer), <char *> address(self.z[layer]), <char *> address(self.a[layer])
            with nogil:
                self.times_weights(layer, x, self.params, self.biases(self.params, layer), 0, z)
                self.kernels.activation_forward(<int> self.layers[layer, 4], z, a, self.n, self.layers[layer, 1])
        return 0

    def check_like_output(self, name, array):
        """ValueError unless the array has the shape and the type of the output."""
        check(name, array, self.dtype, (self.n, self.layers[self.n_layers - 1, 1]))

    def check_like_params(self, name, array):
        """ValueError unless the array has the shape and the type of the parameters."""
        check(name, array, self.dtype, self.arrays[0].shape)

    @property
    def output(self):
        """ndarray of shape (n, n_outputs): the last layer's a; not to be written to."""
        return self.a[-1]

    @property
    def preactivation(self):
        """ndarray of shape (n, n_outputs): the last layer's z; not to be written to."""
        return self.z[-1]

    def push(self, dX):
        """J dX: the change of the output when X changes by dX, to first order.

        Parameters
        ----------
        dX : ndarray of shape (n, n_features), C-contiguous

        Returns
        -------
        ndarray of shape (n, n_outputs)
        """
        cdef int64_t layer
        cdef char *x
        cdef char *out
        check("dX", dX, self.dtype, (self.n, self.layers[0, 0]))
        change = dX
        for layer in range(self.n_layers):
            moved = np.empty((self.n, self.layers[layer, 1]), self.dtype)
            x, out = <char *> address(change), <char *> address(moved)
            with nogil:
                self.times_weights(layer, x, self.params, NULL, 0, out)
            self.through_activation(layer, out)
            change = moved
        return change

    def pull(self, dA, gradient=None, dX=None, bint by_preactivation=False):
        """dA J: the gradient of ``sum(dA * output)``.

        Parameters
        ----------
        dA : ndarray of shape (n, n_outputs), C-contiguous
            The gradient by the output.
        gradient : ndarray of shape (n_params,) or None
            The gradient by the parameters, summed over the rows, is added to it.
        dX : ndarray of shape (n, n_features), C-contiguous, or None
            Overwritten with the gradient by X.
        by_preactivation : bool
            Whether dA is the gradient by the last layer's z already.
        """
        cdef int64_t layer
        cdef char *x
        cdef char *below
        self.check_like_output("dA", dA)
        self.check_like_params("gradient", gradient)
        check("dX", dX, self.dtype, (self.n, self.layers[0, 0]))
        cdef char *total = NULL if gradient is None else <char *> address(gradient, True)
        buffers = np.empty((2, self.n * self.widest), self.dtype)
        buffers[0, :dA.size] = dA.ravel()
        cdef char *delta = <char *> address(buffers[0])
        cdef char *spare = <char *> address(buffers[1])
        for layer in range(self.n_layers - 1, -1, -1):
            if not (by_preactivation and layer == self.n_layers - 1):
                self.through_activation(layer, delta)
            x = self.input_of(layer)
            below = spare if layer else NULL if dX is None else <char *> address(dX, True)
            with nogil:
                if total != NULL:
                    self.add_weight_gradient(layer, x, delta, total)
                    self.add_bias_gradient(layer, delta, total)
                if below != NULL:
                    self.times_transposed(layer, delta, self.transposed, NULL, below)
            delta, spare = below, delta

    def push_parameters(self, direction):
        """The change of the output when the parameters move along `direction`, to first order.

        The changes on the way are kept for `pull_tangent`.

        Parameters
        ----------
        direction : ndarray of shape (n_params,)

        Returns
        -------
        ndarray of shape (n, n_outputs)
        """
        cdef int64_t layer
        cdef char *x
        cdef char *dx = NULL
        cdef char *dz
        self.check_like_params("direction", direction)
        cdef char *flat = <char *> address(direction)
        self.dz, self.da = self.room(), self.room()
        for layer in range(self.n_layers):
            x, dz = self.input_of(layer), <char *> address(self.dz[layer])
            with nogil:  # z = b + a W:  dz = db + a dW + da W
                self.times_weights(layer, x, flat, self.biases(flat, layer), 0, dz)
                if layer:
                    self.times_weights(layer, dx, self.params, dz, self.layers[layer, 1], dz)
            self.da[layer][...] = self.dz[layer]
            dx = <char *> address(self.da[layer])
            self.through_activation(layer, dx)
        return self.da[-1]

    def pull_tangent(self, dA, dA_tangent, direction, direction_transposed, out, bint by_preactivation=False):
        """The change of ``pull(dA, gradient)`` when the parameters move along the direction of `push_parameters`.

        Parameters
        ----------
        dA, dA_tangent : ndarray of shape (n, n_outputs), C-contiguous
            The gradient by the output, and its change along the direction.
        direction, direction_transposed : ndarray of shape (n_params,)
            The direction, and `transposed_weights` of it.
        out : ndarray of shape (n_params,)
            The change of the gradient is added to it.
        by_preactivation : bool
            Whether dA is the gradient by the last layer's z already.
        """
        cdef int64_t layer
        cdef char *x
        cdef char *dx
        self.check_like_output("dA", dA)
        self.check_like_output("dA_tangent", dA_tangent)
        self.check_like_params("direction", direction)
        self.check_like_params("direction_transposed", direction_transposed)
        self.check_like_params("out", out)
        cdef char *total = <char *> address(out, True)
        cdef char *turned = <char *> address(direction_transposed)
        cdef char *z
        cdef char *a
        cdef char *dz
        cdef char *da
        buffers = np.empty((4, self.n * self.widest), self.dtype)
        buffers[0, :dA.size], buffers[1, :dA.size] = dA.ravel(), dA_tangent.ravel()
        cdef char *delta = <char *> address(buffers[0])
        cdef char *tangent = <char *> address(buffers[1])
        cdef char *spare = <char *> address(buffers[2])
        cdef char *spare_tangent = <char *> address(buffers[3])
        for layer in range(self.n_layers - 1, -1, -1):
            if not (by_preactivation and layer == self.n_layers - 1):
                z, a = <char *> address(self.z[layer]), <char *> address(self.a[layer])
                dz, da = <char *> address(self.dz[layer]), <char *> address(self.da[layer])
                with nogil:
                    self.kernels.activation_backward_tangent(<int> self.layers[layer, 4], z, a, dz, da, delta, tangent,
                                                             self.n, self.layers[layer, 1])
                self.through_activation(layer, delta)
            x = self.input_of(layer)
            dx = <char *> address(self.da[layer - 1]) if layer else NULL
            with nogil:  # dW = x^T delta:  its change is x^T d(delta) + dx^T delta
                self.add_weight_gradient(layer, x, tangent, total)
                self.add_bias_gradient(layer, tangent, total)
                if layer:
                    self.add_weight_gradient(layer, dx, delta, total)
                    # dA = delta W^T:  its change is d(delta) W^T + delta dW^T
                    self.times_transposed(layer, delta, self.transposed, NULL, spare)
                    self.times_transposed(layer, tangent, self.transposed, NULL, spare_tangent)
                    self.times_transposed(layer, delta, turned, spare_tangent, spare_tangent)
            delta, spare = spare, delta
            tangent, spare_tangent = spare_tangent, tangent
