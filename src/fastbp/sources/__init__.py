"""Sources of blocks."""

from fastbp.sources.base import Block, Source
from fastbp.sources.iterables import IterableSource


def as_source(source, *, columns=None, target=None, weight=None):
    """Temporary."""
    return source if isinstance(source, Source) else IterableSource(source)


__all__ = ["Block", "Source", "as_source"]
