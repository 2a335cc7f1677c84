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
`Concatenate`   outputs side by side          those of its branches, which read the same input
`Sum`           outputs added up              those of its branches, which read the same input
==============  ============================  =========================================

The first layers of a table:

=================  ==================================  =====================================================
layer              output                              parameters
=================  ==================================  =====================================================
`RobustScale`      numbers by median and quartiles     median and range of each column, not trained
`PiecewiseLinear`  vectors, piecewise linear in a      u, c, p and missing (columns, width; p: bins * width)
                   number                              of each column; edges of the bins, not trained
`Periodic`         vectors of cosines of a number      omega, phi, V, d and unknown of each column
`SelectColumns`    numbers as they are                 none that are trained
`OneHot`           zeros, and ones for categories      none
`Embedding`        vectors of categories               table (levels + 1 of each column, added up; width)
=================  ==================================  =====================================================

A new layer is one class; a new kind of operation is one file in ``kernels/kinds/`` besides.
"""

from fastbp.layers.base import Layer
from fastbp.layers.branches import Concatenate, Residual, Sum
from fastbp.layers.columns import Embedding, OneHot, RobustScale, SelectColumns
from fastbp.layers.dense import Activation, Dense, Scale
from fastbp.layers.dropout import Dropout
from fastbp.layers.norms import BatchNorm, LayerNorm, RMSNorm
from fastbp.layers.numeric import Periodic, PiecewiseLinear

__all__ = [
    "Activation",
    "BatchNorm",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "OneHot",
    "Periodic",
    "PiecewiseLinear",
    "RMSNorm",
    "Residual",
    "RobustScale",
    "Scale",
    "SelectColumns",
    "Sum",
]
