"""Numbers as people read them."""

from math import floor, isfinite, log10

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS = "−"
#: A space that no line ends at
NO_BREAK = "\N{NO-BREAK SPACE}"


def number(value, digits=3):
    """A number with some significant digits: 0.0123, 12,300 or 1.23 × 10⁻⁷.

    Parameters
    ----------
    value : float or None
        None and NaN are a dash.
    digits : int

    Returns
    -------
    str
    """
    if value is None or value != value:
        return "–"
    value = float(value)
    if not isfinite(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value == 0:
        return "0"
    exponent = floor(log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 <= exponent < 6:
        text = f"{round(value, digits - 1 - exponent):,.{max(0, digits - 1 - exponent)}f}"
        return text.replace("-", MINUS)
    return f"{value / 10.0**exponent:.{digits - 1}f} × {power_of_ten(exponent)}".replace("-", MINUS)


def power_of_ten(exponent):
    """10 with an exponent."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def plain(value):
    """A number that was chosen, without trailing zeros: at an axis, of a parameter or a limit."""
    if value and not 1e-4 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:.6e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}·{power_of_ten(int(exponent))}".replace("-", MINUS)
    return f"{value:,.10g}".replace("-", MINUS)


def percent(share, digits=0):
    """A share in percent; a dash for NaN."""
    return "–" if share != share else f"{100 * share:.{digits}f} %"


def count(n, thing):
    """A number of things: 1 row, 2 rows, 3 classes."""
    plural = f"{thing}es" if thing.endswith(("s", "x")) else f"{thing}s"
    return f"{n:,} {thing if n == 1 else plural}"


def listed(names, most=5):
    """Names with commas, the first ones of many."""
    names = [str(name) for name in names]
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
