"""Pictures of numbers as PNG data, for what has too many cells for SVG."""

from base64 import b64encode
from math import ceil, sqrt
from struct import pack
from zlib import compress, crc32

import numpy as np

from fastbp.inspection.reports.page.elements import element

#: Positive and negative numbers: legible on light and on dark paper, and with any kind of colour vision
POSITIVE, NEGATIVE = (38, 128, 208), (222, 104, 32)
#: Of what has no number, such as the gaps between images
GREY = (128, 128, 128, 56)


def png(pixels):
    """The bytes of a PNG file (ISO/IEC 15948).

    Parameters
    ----------
    pixels : ndarray of uint8 of shape (height, width, 4)
        Red, green, blue and opacity.

    Returns
    -------
    bytes
    """
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 4 * width), np.uint8)  # each begins with its filter, 0 for none
    lines[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind, content):
        return pack(">I", len(content)) + kind + content + pack(">I", crc32(kind + content))

    header = pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )


def coloured(values, limit):
    """Pixels for numbers: the larger the number, the more of its colour; zero is the colour of the paper.

    Parameters
    ----------
    values : ndarray of shape (height, width)
        NaN is grey.
    limit : float
        The number of full colour.

    Returns
    -------
    ndarray of uint8 of shape (height, width, 4)
    """
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where((values > 0)[..., None], POSITIVE, NEGATIVE)
    is_missing = np.isnan(values)
    pixels[..., 3] = np.round(255 * np.clip(np.abs(np.where(is_missing, 0, values)) / limit, 0, 1))
    pixels[is_missing] = GREY
    return pixels


def image(values, limit, alt, class_="pixels"):
    """Numbers as an image.

    Parameters
    ----------
    values : ndarray of shape (height, width)
    limit : float
    alt : str
        What the image shows.
    class_ : str

    Returns
    -------
    Element
    """
    data = b64encode(png(coloured(values, limit))).decode("ascii")
    height, width = values.shape
    return element("img", src=f"data:image/png;base64,{data}", alt=alt, width=width, height=height, class_=class_)


def mosaic(images):
    """Images side by side, with gaps.

    Parameters
    ----------
    images : ndarray of shape (n, height, width)

    Returns
    -------
    ndarray of shape (total height, total width)
        NaN in the gaps.
    """
    n, height, width = images.shape
    columns = min(n, max(1, ceil(sqrt(n * height / width))))
    lines, gap = ceil(n / columns), ceil(max(height, width) / 12)
    down, across = height + gap, width + gap
    whole = np.full((lines * down - gap, columns * across - gap), np.nan)
    for k, one in enumerate(images):
        top, left = k // columns * down, k % columns * across
        whole[top : top + height, left : left + width] = one
    return whole


def colour_scale(limit_text):
    """What the colours of `image` mean: an Element."""
    return element(
        "p",
        element("span", f"−{limit_text}"),
        element("span", class_="gradient", aria_hidden="true"),
        element("span", f"+{limit_text}"),
        class_="scale",
    )


def coloured_cell(share, text, **attributes):
    """A cell of a table with the colour of a number in [-1, 1].

    Parameters
    ----------
    share : float
    text : str
    **attributes : object
        Of the cell.

    Returns
    -------
    Element
    """
    red, green, blue = POSITIVE if share > 0 else NEGATIVE
    # text on it stays legible: no colour is full
    opacity = min(1.0, abs(share)) * (0.62 if text else 1.0)
    return element("td", text, style=f"background:rgba({red},{green},{blue},{opacity:.2f})", **attributes)
