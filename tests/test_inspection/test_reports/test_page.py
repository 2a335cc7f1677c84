"""Numbers, axes, charts and pictures of the page, and its colours."""

import io
import re
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastbp.inspection.reports.page.charts import BOTTOM, HEIGHT, TOP, WIDTH, Axis, Series, chart
from fastbp.inspection.reports.page.elements import bar, element, to_html
from fastbp.inspection.reports.page.numbers import count, listed, number, percent, plain
from fastbp.inspection.reports.page.pictures import NEGATIVE, POSITIVE, coloured, mosaic, png
from fastbp.inspection.reports.page.scales import Scale, limits
from fastbp.inspection.reports.page.style import DARK, LIGHT, STYLE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (0.012345, "0.0123"),
        (-12345.6, "−12,300"),
        (999.9, "1,000"),
        (0.99999, "1.00"),
        (1.234e-7, "1.23 × 10⁻⁷"),
        (-5e30, "−5.00 × 10³⁰"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (np.nan, "–"),
        (None, "–"),
        (np.float32(0.5), "0.500"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.001, "0.001"), (2500.0, "2,500"), (-0.25, "−0.25"), (1e-7, "1·10⁻⁷"), (2.5e9, "2.5·10⁹")],
)
def test_plain(value, text):
    assert plain(value) == text


def test_words():
    assert (count(1, "row"), count(2000, "row"), count(3, "class")) == ("1 row", "2,000 rows", "3 classes")
    assert (percent(0.5), percent(1 / 3, 1), percent(np.nan)) == ("50 %", "33.3 %", "–")
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(7), 2) == "0, 1 and 5 more"


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3.2, 17), (1e-12, 3e-12), (-1e300, 1e300), (5, 5.0001), (0, 390), (1e8, 1e8 + 3)]
)
def test_ticks_are_few_in_order_and_inside(low, high):
    ticks = Scale(low, high, 0, 100).ticks()
    values = [value for value, _ in ticks]
    assert 2 <= len(values) <= 7
    assert all(a < b for a, b in pairwise(values))
    room = 1e-9 * (high - low)
    assert low - room <= values[0]
    assert values[-1] <= high + room


def test_ticks_of_logarithms_and_whole_numbers():
    assert [text for _, text in Scale(0.02, 300, 0, 1, log=True).ticks()] == ["10⁻¹", "10⁰", "10¹", "10²"]
    assert len(Scale(1e-30, 1e30, 0, 1, log=True).ticks()) <= 7
    assert [value for value, _ in Scale(1, 3, 0, 1, whole=True).ticks()] == [1, 2, 3]


def test_scale():
    assert_allclose(Scale(0, 10, 100, 200)([0, 5, 10]), [100, 150, 200])
    assert_allclose(Scale(1, 100, 0, 10, log=True)([1, 10, 100]), [0, 5, 10])


@pytest.mark.parametrize(
    "values",
    [[], [np.nan], [1.0], [0.0], [0, 1e-320], [-1e308, 1e308], [1e308], [np.inf, 1, 2], [-1e-300, 1e-300]],
)
@pytest.mark.parametrize("log", [False, True])
def test_limits_are_finite_and_apart(values, log):
    low, high = limits([np.array(values, float)], log=log)
    assert np.isfinite([low, high]).all()
    assert low < high
    assert low > 0 or not log
    assert Scale(low, high, 0, 1, log=log).ticks()


def places(html, tag, *names):
    """The numbers of some attributes of all elements with a tag."""
    found = re.findall(rf"<{tag} ([^>]*)>", html)
    return np.array([[float(re.search(rf'\b{name}="([-\d.]+)"', one)[1]) for name in names] for one in found])


@pytest.mark.parametrize("log", [False, True])
def test_a_chart_draws_what_can_be_drawn(log):
    y = np.array([1.0, np.nan, 100, np.inf, 10, 0.5])
    parts = chart(
        [Series("a", np.arange(6), y, texts=[f"point {i}" for i in range(6)])],
        Axis("x"),
        Axis("y", log=log),
        summary="A <b> curve",
    )
    html = "".join(map(to_html, parts))
    dots = places(html, "circle", "cx", "cy")
    assert len(dots) == 4
    assert (np.diff(dots[:, 0]) > 0).all()
    assert (np.argsort(-dots[:, 1]) == np.argsort(y[[0, 2, 4, 5]])).all()
    assert ((dots >= [0, TOP]) & (dots <= [WIDTH, HEIGHT - BOTTOM])).all()
    assert html.count("<polyline") == 1  # of the last two; the others have a gap beside them
    assert "A &lt;b&gt; curve" in html
    assert "point 4" in html
    assert "point 3" not in html


def test_long_curves_are_thinned():
    html = "".join(
        map(to_html, chart([Series("", np.arange(10**5), np.ones(10**5))], Axis(""), Axis(""), summary="s")[1:])
    )
    assert len(html) < 20_000
    assert re.search(r'points="[\d.]+,[\d.]+ ', html)


def test_bars_have_the_height_of_their_numbers():
    (_, picture) = chart([Series("", [0, 1, 2, 3], [2, 0, 4], "bars")], Axis("x"), Axis("y", ends=(0, 5)), summary="s")
    heights = places(to_html(picture), "rect", "height").ravel()
    assert_allclose(heights[[0, 2]] / heights[2], [0.5, 1], atol=0.01)  # places have one decimal
    assert heights[1] == 0


def test_elements_escape_all_text():
    made = element("p", "a < b & c", element("b", "d"), ' "e" <i>', title='"&>')
    assert to_html(made) == '<p title="&quot;&amp;&gt;">a &lt; b &amp; c<b>d</b> "e" &lt;i&gt;</p>'


def test_bars_stay_inside():
    assert "left:70.0%;width:30.0%" in to_html(bar(0.9, "text", spread=0.2))
    assert "left:0.0%;width:30.0%" in to_html(bar(0.1, "text", spread=0.2))


def test_png():
    image = pytest.importorskip("matplotlib.image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4)).astype(np.uint8)
    assert_array_equal(np.round(255 * image.imread(io.BytesIO(png(pixels)))), pixels)


def test_colours_of_numbers():
    pixels = coloured(np.array([[1.0, -2.0, 0.0, np.nan]]), 2.0)[0]
    assert_array_equal(pixels[0], [*POSITIVE, 128])
    assert_array_equal(pixels[1], [*NEGATIVE, 255])
    assert pixels[2, 3] == 0
    assert len(set(pixels[3, :3].tolist())) == 1


def test_mosaic_holds_every_image():
    images = np.arange(5 * 6, dtype=float).reshape(5, 2, 3)
    whole = mosaic(images)
    assert_array_equal(np.sort(whole[~np.isnan(whole)]), np.arange(30))
    assert_array_equal(whole[:2, :3], images[0])


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_contrast(theme):
    colours = dict(re.findall(r"--([\w]+): (#\w{6})", theme))
    text_on = [(ink, paper) for ink in ("ink", "soft", "problem", "hint", "c1") for paper in ("paper", "panel")]
    for ink, paper in [*text_on, ("paper", "c1")]:
        bright, dim = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)


def test_style_uses_what_it_defines():
    for theme in (LIGHT, DARK):
        defined = set(re.findall(r"--(\w+):", theme))
        assert set(re.findall(r"var\(--(\w+)\)", STYLE)) - {"c"} <= defined
