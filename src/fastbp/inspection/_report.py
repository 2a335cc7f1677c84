"""Numbers and tables as text."""

import numpy as np


def norm(array):
    """The Frobenius norm, as a float64, without underflow or overflow.

    The array is divided by its largest element first: the square of 1e-170 is zero in float64, and vanishing gradients
    are that small.

    Parameters
    ----------
    array : ndarray

    Returns
    -------
    float
    """
    largest = float(np.abs(array).max(initial=0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm((array / largest).astype(np.float64).ravel()))


def table(header, rows):
    """Lines of text with the columns set flush right, the first one flush left.

    Parameters
    ----------
    header : sequence of str
    rows : list of sequence of str

    Returns
    -------
    str
    """
    cells = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([row[0].ljust(len(first)), *others]).rstrip())
    return "\n".join(lines)


def number(value):
    """A number with three significant digits; a dash for None and NaN.

    Parameters
    ----------
    value : float or None

    Returns
    -------
    str
    """
    return "-" if value is None or np.isnan(value) else f"{value:.3g}"
