"""Blocks from iterables: functions that return iterators, lists, data loaders, classes of the user."""

from collections.abc import Iterable, Iterator
from itertools import count

from fastbp.sources.base import Source, checked_block

#: What no block is
END = object()


class IterableSource(Source):
    """The blocks of an iterable.

    Parameters
    ----------
    source : callable or iterable
        A function without arguments that returns an iterator of blocks, or an object whose ``__iter__`` does. A block
        is a tuple ``(X, y)`` or ``(X, y, sample_weight)``, or a list of the same.

    Raises
    ------
    TypeError
        For an iterator, which can be read once only.
    """

    def __init__(self, source):
        if isinstance(source, Iterator):
            raise TypeError(
                f"source must give its blocks anew for each epoch, got {type(source).__name__}, which can be read once "
                "only: give a function that returns it, for instance the generator function itself, without the call"
            )
        if not isinstance(source, Iterable) and not callable(source):
            raise TypeError(
                "source must be a function that returns an iterator of blocks, an iterable of blocks, the path of a "
                f"file, or a list of paths, got {type(source).__name__}"
            )
        self.source = source

    def __repr__(self):
        return f"{type(self).__name__}({self.source!r})"

    def blocks(self, generator=None):
        """Begin a new pass; see `Source.blocks`.

        Parameters
        ----------
        generator : numpy.random.Generator or None, default=None
            Not used: the order is that of the iterable.

        Yields
        ------
        Block

        Raises
        ------
        TypeError, ValueError
            For a block that is no tuple of two or three; see `checked_block`.
        Exception
            What the iterable raises, with a note that says in which block.
        """
        iterator = None
        for number in count():
            try:
                iterator = self._iterator() if iterator is None else iterator
                block = next(iterator, END)
            except Exception as error:
                error.add_note(f"raised in block {number} of the source, counted from 0")
                raise
            if block is END:
                return
            yield checked_block(block, number)

    def _iterator(self):
        """A new iterator over the blocks."""
        if isinstance(self.source, Iterable):
            return iter(self.source)
        blocks = self.source()
        if not isinstance(blocks, Iterable):
            raise TypeError(
                f"the function given as source must return an iterator of blocks, got {type(blocks).__name__}"
            )
        return iter(blocks)


class UserSource(Source):
    """The blocks of a source of the user's own class, which are checked as those of an iterable are.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source):
        self.source = source

    def __repr__(self):
        return repr(self.source)

    @property
    def n_rows(self):
        """See `Source`."""
        return self.source.n_rows

    @property
    def is_reordered(self):
        """See `Source`."""
        return self.source.is_reordered

    @property
    def feature_names(self):
        """See `Source`."""
        return self.source.feature_names

    def blocks(self, generator=None):
        """Begin a new pass; see `Source.blocks`."""
        blocks = self.source.blocks(generator)  # which may draw its order now
        return (checked_block(block, number) for number, block in enumerate(blocks))

    def targets(self):
        """Begin a new pass over y and sample_weight alone; see `Source.targets`."""
        return self.source.targets()
