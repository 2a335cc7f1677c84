"""What can be wrong with a model file, and with what is to be saved."""

from typing import Any


class ModelFileError(ValueError):
    """A file is no model file of fastbp, is damaged, or was written by a newer version.

    Parameters
    ----------
    path : str
        Of the file.
    reason : str
        What is wrong.
    """

    path: Any
    reason: Any

    def __init__(self, path: Any, reason: Any) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Unsavable(TypeError):
    """A value that a model file cannot hold.

    Parameters
    ----------
    place : str
        Where it is: a parameter, or an attribute, perhaps with a path in it.
    value : object
    """

    def __init__(self, place: str, value: object) -> None:
        super().__init__(place, value)
        self.place, self.value = place, value

    def __str__(self) -> str:
        return f"{self.place} is {shortened(self.value)}"


def shortened(value: Any, length: int = 100) -> str:
    """The `repr` of a value, or its beginning."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."
