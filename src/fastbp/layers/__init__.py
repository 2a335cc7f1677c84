"""Layers as objects.

A layer describes itself: it emits operations into the computational graph, names the parameters that they own, and
fills in their first values. `fastbp.Network` and the estimators compile the graph into a program of kernels
(``fastbp.kernels.program``).

==============  ============================  =========================================
layer           output                        parameters
==============  ============================  =========================================
`Dense`         ``f(x W + b)``                W (fan_in, units), b (units,)
`Activation`    ``f(x)``                      none, or one for each unit
`Residual`      ``x + layers(x)``             those of its layers
`Scale`         ``x * s``                     s (width,), a factor for each feature
`LayerNorm`     ``(x - mean) / sd * g + s``   g, s (width,); mean and sd of the row
`RMSNorm`       ``x / rms * g``               g (width,); rms of the row
`BatchNorm`     ``(x - mean) / sd * g + b``   g, b (width,); mean and sd of the column over the batch
`Dropout`       ``x * mask / (1 - rate)``     none; active in training only
==============  ============================  =========================================

A new layer is one class; a new kind of operation is one file in ``kernels/kinds/`` besides.
"""

from fastbp.layers.base import Layer
from fastbp.layers.branches import Residual
from fastbp.layers.dense import Activation, Dense, Scale
from fastbp.layers.dropout import Dropout
from fastbp.layers.norms import BatchNorm, LayerNorm, RMSNorm

__all__ = ["Activation", "BatchNorm", "Dense", "Dropout", "Layer", "LayerNorm", "RMSNorm", "Residual", "Scale"]
