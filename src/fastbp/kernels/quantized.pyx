"""Layers with weights of 8 bits: the choice of the kernels, and the weights in the order in which these read them.

The C functions are in a separate table (`quantized.h`), which is compiled for the instruction sets of the other
kernels, and for AVX512-VNNI.
"""

import numpy as np

from libc.stdint cimport int8_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free

from fastbp.kernels.data cimport address
from fastbp.kernels.dispatch cimport quantized_kernels_t, quantized_layer_t

from fastbp.kernels.data import check
from fastbp.kernels.dispatch import COMPILED_ISAS, ISA


cdef extern from "quantized.h" nogil:
    int64_t quantized_columns(int64_t cols)
    int64_t quantized_row_bytes(const quantized_kernels_t *kernels, int64_t rows)
    int64_t quantized_packed_bytes(const quantized_kernels_t *kernels, int64_t rows, int64_t cols)
    const quantized_kernels_t *fastbp_quantized_kernels(int isa)


cdef uint64_t CACHE_LINE = 64
cdef const quantized_kernels_t *kernels = fastbp_quantized_kernels(COMPILED_ISAS.index(ISA))

#: The instruction in use that multiplies and adds integers
INSTRUCTION = kernels.instruction.decode()


def scratch_width(int64_t fan_in):
    """The float32 numbers of the workspace that a layer of so many inputs needs for each row."""
    return quantized_row_bytes(kernels, fan_in) // 4


cdef class QuantizedLayers:
    """Fully connected layers with weights of 8 bits.

    z_j = s scale_j (sum of u_i q_ij) + m sums_j + bias_j, where m + s u_i, with u_i from 0 to 255, is the row x.

    Parameters
    ----------
    layers : sequence of (q, scale, sums, bias)
        The weights q, int8 of shape (fan_in, fan_out), from -127 to 127; what they are multiplied by, float32 of shape
        (fan_out,); the sums of the columns of W, float32 of shape (fan_out,); and the biases, the same, or None.

    Attributes
    ----------
    shapes : list of (int, int)
        fan_in and fan_out of each.
    """

    def __cinit__(self, layers):
        # all of it here, where it happens once: predictors have the addresses
        cdef int64_t i
        layers = list(layers)
        self.shapes, self.kept = [], []
        self.layers = <quantized_layer_t *> calloc(max(len(layers), 1), sizeof(quantized_layer_t))
        if self.layers == NULL:
            raise MemoryError
        for i, (q, scale, sums, bias) in enumerate(layers):
            self.set_layer(&self.layers[i], q, scale, sums, bias)

    def __dealloc__(self):
        free(self.layers)

    cdef int set_layer(self, quantized_layer_t *layer, q, scale, sums, bias) except -1:
        """Check one layer, and pack its weights."""
        cdef const int8_t *weights
        cdef char *to
        if getattr(q, "ndim", 0) != 2 or 0 in q.shape:
            raise ValueError(f"q must be a matrix that is not empty, got shape {getattr(q, 'shape', None)}")
        check("q", q, np.dtype(np.int8), q.shape)
        fan_in, fan_out = q.shape
        for name, values in (("scale", scale), ("sums", sums), ("bias", bias)):
            if values is None and name != "bias":
                raise ValueError(f"{name} must be an array of float32 of shape ({fan_out},), got None")
            check(name, values, np.dtype(np.float32), (fan_out,))
        packed = np.empty(quantized_packed_bytes(kernels, fan_in, fan_out) + CACHE_LINE, np.uint8)
        weights, to = <const int8_t *> address(q), <char *> address(packed, True)
        to += (CACHE_LINE - <uint64_t> to % CACHE_LINE) % CACHE_LINE  # so that no vector lies in two lines
        layer.rows, layer.cols = fan_in, fan_out
        with nogil:
            kernels.pack(weights, layer.rows, layer.cols, to)
        self.kept.append(packed)
        self.shapes.append((fan_in, fan_out))
        layer.kernels, layer.weights = kernels, to
        layer.scale, layer.sums, layer.bias = self.padded(scale), self.padded(sums), self.padded(bias)
        return 0

    cdef const float *padded(self, values) except NULL:
        """The address of a copy with zeros up to whole vectors."""
        cdef int64_t fan_out = self.shapes[-1][1]
        copy = np.zeros(quantized_columns(fan_out), np.float32)
        if values is not None:
            copy[:fan_out] = values
        self.kept.append(copy)
        return <const float *> address(copy, True)

    def multiply(self, int64_t number, X):
        """The output of one layer.

        Parameters
        ----------
        number : int
        X : ndarray of float32 of shape (n, fan_in), C-contiguous

        Returns
        -------
        Z : ndarray of float32 of shape (n, fan_out)
            NaN in rows that are not finite.
        """
        if not 0 <= number < len(self.shapes):
            raise ValueError(f"number must be that of one of {len(self.shapes)} layers, got {number}")
        fan_in, fan_out = self.shapes[number]
        cdef int64_t n = X.shape[0]
        check("X", X, np.dtype(np.float32), (n, fan_in))
        Z = np.empty((n, fan_out), np.float32)
        scratch = np.empty(n * scratch_width(fan_in), np.float32)
        cdef const float *x = <const float *> address(X)
        cdef float *z = <float *> address(Z, True)
        cdef void *work = address(scratch, True)
        with nogil:
            kernels.multiply(&self.layers[number], x, n, work, z)
        return Z
