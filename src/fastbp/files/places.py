"""Paths in a tree of values, for messages and for the names of tensors: ``solver.beta_1``, ``layers[0].units``."""


def under(place, name):
    """The place of a part.

    Parameters
    ----------
    place : str
        Empty for the whole.
    name : str

    Returns
    -------
    str
    """
    return f"{place}.{name}" if place else name
