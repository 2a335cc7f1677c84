"""Random zeros in training."""

from dataclasses import dataclass

from fastbp.kernels.graph import GraphBuilder
from fastbp.layers.base import Layer, check_rate


@dataclass(frozen=True)
class Dropout(Layer):
    """Random zeros in training: ``x * mask / (1 - rate)``, where each number of the mask is 0 with the probability
    `rate`, else 1. Predictions, derivatives and the loss of held-out rows are computed without it.

    The estimators draw a seed from `random_state` for each `fit`. A mask is a hash of the seed, the number of the step,
    the layer, the row of the batch and the unit: the results do not depend on the number of threads.

    Parameters
    ----------
    rate : float
        In [0, 1).

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), Dropout: a simple way to prevent neural networks
    from overfitting, Journal of Machine Learning Research 15. Inverted: the factor 1 / (1 - rate) in training takes
    the place of a factor in prediction.
    """

    rate: float

    def check(self) -> None:
        """See `Layer.check`."""
        check_rate("rate", self.rate)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append x * mask / (1 - rate), unless the rate is 0.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        if self.rate == 0:
            return node
        return builder.emit("dropout", node, builder.widths[node], constants=(self.rate,), layer=self)
