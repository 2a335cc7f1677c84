"""Checks of arguments that several of the tools have."""

import numpy as np


def check_integer(name, value, least=1):
    """ValueError unless a value is an integer, and large enough.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
    least : int
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
