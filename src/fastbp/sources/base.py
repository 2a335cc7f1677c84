"""What a source of blocks is."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np


class Block(NamedTuple):
    """Some rows of a training set.

    Parameters
    ----------
    X : array, sparse matrix or data frame of shape (n, n_features)
    y : array of shape (n,) or (n, n_outputs)
    sample_weight : array of shape (n,) or None, default=None
    """

    X: Any
    y: Any
    sample_weight: Any = None


class Source:
    """Base class of the sources: a training set that is read block by block, as often as it is asked for.

    A source of your own derives from it and defines `blocks`. In most cases a function that returns an iterator of
    blocks is enough; see `as_source`.

    Attributes
    ----------
    n_rows : int or None
        Rows of all blocks, where that is known without reading them.
    is_reordered : bool
        Whether ``blocks(generator)`` gives the parts of the source in another order than ``blocks()``.
    feature_names : list of str or None
        Names of the columns of X, where X is a matrix of named columns. A data frame has names itself.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.sources import Block, Source
    >>> class Noise(Source):
    ...     n_rows = 3000
    ...
    ...     def blocks(self, generator=None):
    ...         rng = np.random.default_rng(0)
    ...         for _ in range(3):
    ...             X = rng.standard_normal((1000, 5), dtype=np.float32)
    ...             yield Block(X, X[:, 0] > 0)
    >>> sum(len(block.X) for block in Noise().blocks())
    3000
    """

    n_rows: int | None = None
    is_reordered: bool = False
    feature_names: list[str] | None = None

    def blocks(self, generator: np.random.Generator | None = None) -> Iterator[Block]:
        """Begin a new pass over all rows.

        Parameters
        ----------
        generator : numpy.random.Generator or None, default=None
            Draws the order of the parts, if `is_reordered`. Without it, each pass gives the same blocks.

        Returns
        -------
        iterator of Block
        """
        raise TypeError(f"{type(self).__name__} must define blocks(generator=None), which returns an iterator of Block")

    def targets(self) -> Iterator[tuple[Any, Any]]:
        """Begin a new pass over y and sample_weight alone, which takes less time where columns are read one by one.

        Returns
        -------
        iterator of (y, sample_weight)
            Of the blocks of ``blocks()``, in their order.
        """
        return ((block.y, block.sample_weight) for block in self.blocks())
