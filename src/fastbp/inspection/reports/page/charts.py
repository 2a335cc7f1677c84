"""Charts as inline SVG, whose colours follow the style of the page.

They are drawn here, and not by matplotlib, for three reasons: the lines and the text take the colours of the light or
the dark page, text stays text, for search, screen readers and zoom, and a report needs no other package.
"""

from dataclasses import dataclass, field

import numpy as np

from fastbp.inspection.reports.page.elements import element
from fastbp.inspection.reports.page.scales import Scale, limits

WIDTH, HEIGHT = 460, 290
#: Room for the name of an axis, and around the chart
NAME, RIGHT, TOP, BOTTOM = 30, 14, 10, 46
#: Width of a character of a number
CHARACTER = 9
#: Points of a line at most: more cannot be told apart
MOST_POINTS = 500
#: With fewer points than this, a line has markers
FEW_POINTS = 25


@dataclass(frozen=True, eq=False)
class Series:
    """Numbers of a chart.

    Parameters
    ----------
    name : str
        For the legend; "" for none.
    x, y : array-like of shape (n,)
        Points that are not finite, or not above zero on a logarithmic axis, are left out.
    shape : {"line", "points", "bars"}
        Bars reach from one x to the next: there is one x more than there are bars.
    colour : int
        1 to 4, or 0 for grey.
    dashed : bool
    texts : sequence of str
        What is shown when the pointer is on a point.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    shape: str = "line"
    colour: int = 1
    dashed: bool = False
    texts: tuple = ()


@dataclass(frozen=True)
class Axis:
    """What is known of an axis before the numbers are.

    Parameters
    ----------
    label : str
    log, whole : bool
        As for `Scale`.
    include : sequence of float
        Numbers that it must show.
    ends : tuple of (low, high), or None
        None to follow from the numbers.
    """

    label: str
    log: bool = False
    whole: bool = False
    include: tuple = field(default=())
    ends: tuple | None = None

    def scale(self, arrays, begin, end, margin=0.04):
        """The Scale for some arrays."""
        low, high = self.ends or limits(arrays, log=self.log, margin=margin, include=self.include)
        return Scale(low, high, begin, end, self.log, self.whole)


def chart(series, x, y, *, summary, diagonal=False, marks=()):
    """A chart with its legend.

    Parameters
    ----------
    series : list of Series
    x, y : Axis
    summary : str
        What the chart shows, for those who do not see it.
    diagonal : bool
        Whether the line of equal x and y is drawn.
    marks : sequence of (float, str)
        Vertical lines, with what they mean.

    Returns
    -------
    list of Element
        The picture, and the legend if there is one.
    """
    has_bars = any(one.shape == "bars" for one in series)
    up = y.scale([one.y for one in series], HEIGHT - BOTTOM, TOP)
    left = NAME + CHARACTER * max(2, *(len(text) for _, text in up.ticks()))
    across = x.scale([one.x for one in series], left, WIDTH - RIGHT, margin=0 if has_bars else 0.02)
    parts = [element("title", summary), *frame(across, up, x.label, y.label)]
    if diagonal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        parts.append(line(across([low, high]), up([low, high]), "guide"))
    for one in series:
        parts += SHAPES[one.shape](one, across, up)
    for place, _ in marks:
        parts.append(line(across([place, place]), [TOP, HEIGHT - BOTTOM], "mark"))
    picture = element("svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart")
    return [legend(series, marks), picture]


def frame(across, up, x_label, y_label):
    """Lines, numbers and names of the axes: list of Element."""
    bottom, left, right = HEIGHT - BOTTOM, across.begin, WIDTH - RIGHT
    parts = []
    for value, text in up.ticks():
        place = float(up(value))
        parts.append(line([left, right], [place, place], "grid"))
        parts.append(element("text", text, x=left - 7, y=f"{place + 4:.1f}", class_="tick end"))
    for value, text in across.ticks(6):
        place = float(across(value))
        parts.append(line([place, place], [bottom, bottom + 4], "axis"))
        parts.append(element("text", text, x=f"{place:.1f}", y=bottom + 18, class_="tick middle"))
    parts.append(line([left, right], [bottom, bottom], "axis"))
    middle = (left + right) / 2
    parts.append(element("text", x_label, x=middle, y=HEIGHT - 7, class_="label middle"))
    place = (TOP + bottom) / 2
    parts.append(
        element("text", y_label, x=13, y=place, transform=f"rotate(-90 13 {place})", class_="label middle"),
    )
    return parts


def line(xs, ys, class_):
    """A straight line from the first to the last place."""
    return element(
        "line",
        x1=f"{xs[0]:.1f}",
        x2=f"{xs[-1]:.1f}",
        y1=f"{ys[0]:.1f}",
        y2=f"{ys[-1]:.1f}",
        class_=class_,
    )


def drawable(one, across, up):
    """(places across, places up, which points they are) of the points that can be drawn."""
    x, y = np.asarray(one.x, np.float64), np.asarray(one.y, np.float64)
    is_drawn = np.isfinite(x) & np.isfinite(y)
    for values, scale in ((x, across), (y, up)):
        if scale.log:
            is_drawn &= values > 0
        with np.errstate(invalid="ignore"):
            is_drawn &= (values >= scale.low) & (values <= scale.high)
    chosen = np.flatnonzero(is_drawn)
    return across(x[chosen]), up(y[chosen]), chosen


def lines_of(one, across, up):
    """A line through the points, with markers if they are few."""
    if len(one.x) > MOST_POINTS:
        kept = np.unique(np.linspace(0, len(one.x) - 1, MOST_POINTS).astype(int))
        one = Series(one.name, np.asarray(one.x)[kept], np.asarray(one.y)[kept], "line", one.colour, one.dashed)
    xs, ys, chosen = drawable(one, across, up)
    runs = np.split(np.arange(len(chosen)), np.flatnonzero(np.diff(chosen) > 1) + 1)  # a gap where nothing is drawn
    class_ = f"line c{one.colour}{' dashed' if one.dashed else ''}"
    parts = [
        element(
            "polyline",
            points=" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs[run], ys[run], strict=True)),
            class_=class_,
        )
        for run in runs
        if len(run) > 1
    ]
    return parts + (dots(one, xs, ys, chosen, 3.2) if len(one.x) < FEW_POINTS else [])


def points_of(one, across, up):
    """A dot for each point."""
    return dots(one, *drawable(one, across, up), 2.4)


def dots(one, xs, ys, chosen, radius):
    """Dots, with their texts."""
    texts = [element("title", one.texts[i]) if len(one.texts) else None for i in chosen]
    return [
        element("circle", text, cx=f"{a:.1f}", cy=f"{b:.1f}", r=radius, class_=f"dot c{one.colour} {one.shape}")
        for a, b, text in zip(xs, ys, texts, strict=True)
    ]


def bars_of(one, across, up):
    """Bars from zero up."""
    edges, bottom = across(one.x), float(up(max(0.0, up.low)))
    parts = []
    for i, top in enumerate(up(one.y)):
        text = element("title", one.texts[i]) if len(one.texts) else None
        size = {"width": f"{max(0.5, edges[i + 1] - edges[i] - 1):.1f}", "height": f"{max(0.0, bottom - top):.1f}"}
        parts.append(element("rect", text, x=f"{edges[i]:.1f}", y=f"{top:.1f}", class_=f"bars c{one.colour}", **size))
    return parts


SHAPES = {"line": lines_of, "points": points_of, "bars": bars_of}


def legend(series, marks):
    """The names of the series and of the marks; None if there are none."""
    entries = [
        element(
            "li",
            element(
                "span", class_=f"key c{one.colour} {one.shape}{' dashed' if one.dashed else ''}", aria_hidden="true"
            ),
            one.name,
        )
        for one in series
        if one.name
    ]
    entries += [element("li", element("span", class_="key mark", aria_hidden="true"), text) for _, text in marks]
    return element("ul", entries, class_="legend") if entries else None
