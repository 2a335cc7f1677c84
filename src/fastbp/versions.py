"""The version of the package in a pickle: stored when it is made, compared when it is loaded."""

import warnings
from typing import Any

from fastbp.kernels.dispatch import VERSION

KEY = "_fastbp_version"


class VersionWarning(UserWarning):
    """A pickle or a model file was made by a version of fastbp other than the one that loads it.

    Parameters
    ----------
    name : str
        Class of the object.
    pickled_with : str
        Version of the package that made the pickle or the file.
    loaded_with : str
        Version of the package that loads it.
    action : str
        What was done with it: "pickled", or "saved" in a model file.
    """

    name: str
    pickled_with: str
    loaded_with: str
    action: str

    def __init__(self, name: str, pickled_with: str, loaded_with: str = VERSION, action: str = "pickled") -> None:
        super().__init__(name, pickled_with, loaded_with, action)
        self.name, self.pickled_with, self.loaded_with, self.action = name, pickled_with, loaded_with, action

    def __str__(self) -> str:
        return (
            f"this {self.name} was {self.action} with fastbp {self.pickled_with} and is loaded with fastbp "
            f"{self.loaded_with}: it may fail or give other results. Load it with the version that made it, or fit "
            "and save it again."
        )


def note_version(state: dict[str, Any]) -> dict[str, Any]:
    """`state`, the result of ``__getstate__``, with the version of the package in it.

    Parameters
    ----------
    state : dict

    Returns
    -------
    dict
        A new one.
    """
    return {**state, KEY: VERSION}


def warn_if_other_version(state: dict[str, Any], name: str) -> dict[str, Any]:
    """Warn if a state was pickled by another version of the package.

    Parameters
    ----------
    state : dict
        What ``__setstate__`` was given.
    name : str
        Class of the object, for the warning.

    Returns
    -------
    dict
        A new one, without the version.

    Warns
    -----
    VersionWarning
    """
    state = dict(state)
    version = state.pop(KEY, None)
    if version != VERSION:
        version = version if isinstance(version, str) else "(unknown version)"
        warnings.warn(VersionWarning(name, version), stacklevel=3)
    return state
