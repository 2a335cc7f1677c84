"""Layers with weights of 8 bits."""

from fastbp.kernels.dispatch cimport quantized_layer_t


cdef class QuantizedLayers:
    cdef readonly list shapes
    cdef quantized_layer_t *layers
    cdef list kept
    cdef int set_layer(self, quantized_layer_t *layer, q, scale, sums, bias) except -1
    cdef const float *padded(self, values) except NULL
