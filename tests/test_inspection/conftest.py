"""What the tests of the displays share: no window is opened, figures are closed, and labels do not overlap."""

import itertools

import pytest


@pytest.fixture
def pyplot():
    """pyplot without a window; what is open at the end is closed."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def labels_apart(pyplot, monkeypatch):
    """A function: every label that is drawn lies inside the figure, and none on another. Returns their number."""
    from matplotlib.text import Text

    drawn, draw = [], Text.draw

    def spy(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)
        return draw(text, renderer)

    monkeypatch.setattr(Text, "draw", spy)

    def check(figure):
        drawn.clear()
        figure.canvas.draw()
        boxes = {text: text.get_window_extent() for text in drawn}
        whole = figure.bbox.padded(1)  # a pixel for rounding
        for text, box in boxes.items():
            assert whole.x0 <= box.x0 < box.x1 <= whole.x1, f"{text} leaves the figure"
            assert whole.y0 <= box.y0 < box.y1 <= whole.y1, f"{text} leaves the figure"
        for (a, one), (b, other) in itertools.combinations(boxes.items(), 2):
            assert not one.padded(-1).overlaps(other.padded(-1)), f"{a} lies on {b}"
        return len(boxes)

    return check
