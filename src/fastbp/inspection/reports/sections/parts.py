"""What a section of a report consists of."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LeftOut:
    """Something that does not apply.

    Attributes
    ----------
    what, why : str
    """

    what: str
    why: str

    def __str__(self):
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page with a heading.

    Attributes
    ----------
    id : str
        For links.
    title : str
    blocks : list of Element or LeftOut
        A section without elements is not shown.
    """

    id: str
    title: str
    blocks: list = field(default_factory=list)

    @property
    def elements(self):
        """list of Element: what is shown."""
        return [block for block in self.blocks if not isinstance(block, LeftOut)]

    @property
    def left_out(self):
        """list of LeftOut: what is not."""
        return [block for block in self.blocks if isinstance(block, LeftOut)]
