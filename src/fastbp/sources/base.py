"""What a source of blocks is."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


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
            Or of tuples of the same.
        """
        raise TypeError(f"{type(self).__name__} must define blocks(generator=None), which returns an iterator of Block")

    def targets(self) -> Iterator[tuple[Any, Any]]:
        """Begin a new pass over y and sample_weight alone, which takes less time where columns are read one by one.

        Returns
        -------
        iterator of (y, sample_weight)
            Of the blocks of ``blocks()``, in their order.
        """
        blocks = (checked_block(block, number) for number, block in enumerate(self.blocks()))
        return ((block.y, block.sample_weight) for block in blocks)


def checked_block(block: Any, number: Any) -> Block:
    """A block as a `Block`.

    Parameters
    ----------
    block : tuple or list
    number : int
        Of the block in its source, for messages.

    Returns
    -------
    Block

    Raises
    ------
    TypeError
        Unless it is a tuple of two or three whose X has rows.
    ValueError
        If X alone is empty. Other lengths are compared where the rows are used; a block without rows is left out there.
    """
    if not isinstance(block, (tuple, list)) or len(block) not in (2, 3):
        length = f" of {len(block)}" if isinstance(block, (tuple, list)) else ""
        raise TypeError(
            f"block {number} of the source must be a tuple (X, y) or (X, y, sample_weight), got "
            f"{type(block).__name__}{length}. Arrays that hold all rows are one block: [(X, y)]"
        )
    block = Block(*map(as_array, block))
    n_rows, *others = map(length_of, block)
    if n_rows is None:
        raise TypeError(
            f"block {number} of the source must have an X of rows, such as an array or a data frame, got "
            f"{type(block.X).__name__}"
        )
    if n_rows == 0 and any(others):
        raise ValueError(
            f"block {number} of the source must have as many rows in X as in y and sample_weight, got none in X and "
            f"{max(filter(None, others))} beside it"
        )
    return block


def as_array(values: Any) -> NDArray[Any]:
    """A tensor of another package as a NumPy array, which shares its memory; anything else as it is."""
    is_tensor = hasattr(values, "__dlpack__") and hasattr(values, "__array__") and not isinstance(values, np.ndarray)
    return np.asarray(values) if is_tensor else values


def library_of(part: Any) -> str:
    """The package that the type of X, y or sample weights comes from."""
    return type(part).__module__.partition(".")[0]


def length_of(values: Any) -> int | None:
    """The number of rows of an array, a sparse matrix, a data frame or a list; None for what has no rows."""
    if hasattr(values, "shape"):
        return values.shape[0] if values.shape else None
    return len(values) if hasattr(values, "__len__") else None
