"""Layers that are made of other layers."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastbp.layers.base import Layer, check_layers


@dataclass(frozen=True)
class Residual(Layer):
    """A connection past some layers: ``x + layers(x)`` (He, Zhang, Ren and Sun, 2016, Deep residual learning for image
    recognition, eq. 1).

    Parameters
    ----------
    layers : sequence of Layer
        Their last output must be as wide as x. Kept as a tuple.
    """

    layers: Sequence = ()

    def check(self):
        """See `Layer.check`. Also makes a tuple of the layers."""
        object.__setattr__(self, "layers", tuple(check_layers("layers", self.layers)))

    def emit(self, builder, node):
        """Append the layers, and the sum.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        if not self.layers:
            raise ValueError("a Residual needs at least one layer")
        end = node
        for layer in self.layers:
            end = layer.emit(builder, end)
        width = builder.widths[node]
        if builder.widths[end] != width:
            raise ValueError(
                f"the layers of a Residual must end with the width that they begin with, {width}; got "
                f"{builder.widths[end]} from {list(self.layers)}"
            )
        return builder.emit("add", node, width, input2=end, layer=self)
