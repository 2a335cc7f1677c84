"""A line for each layer, in a colour order that is visible with any colour vision."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier
from fastbp.inspection import GradientFlowDisplay, gradient_flow
from fastbp.inspection.gradient_flow import QUANTITIES
from fastbp.inspection.gradient_flow_display import LABELS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def flow():
    X = np.random.default_rng(0).normal(size=(50, 3))
    flow = gradient_flow(every=2)
    MLPClassifier((4, 3), "relu", max_iter=6, tol=0, random_state=0, callbacks=flow).fit(X, X[:, 0] > 0)
    return flow


def lightness(colour):
    """Relative luminance of an sRGB colour."""
    rgb = np.array(colour[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_labels_for_every_quantity():
    assert set(LABELS) == set(QUANTITIES)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_quantity(flow, quantity, pyplot, labels_apart):
    display = GradientFlowDisplay.from_flow(flow, quantity=quantity)
    values = getattr(flow, quantity)
    assert len(display.lines_) == 3
    for i, line in enumerate(display.lines_):
        assert_array_equal(line.get_xdata(), flow.epochs)
        assert_array_equal(line.get_ydata(), values[:, i])
    share = quantity in ("dead", "saturated")
    assert display.ax_.get_yscale() == ("linear" if share else "log")
    assert display.ax_.get_xlabel() == "epoch"
    labels_apart(display.figure_)


@pytest.mark.parametrize("n_layers", [1, 2, 9, 51])
def test_colours_are_in_order_of_lightness(n_layers, pyplot, labels_apart):
    values = np.full((4, n_layers), 0.1) * np.arange(1, n_layers + 1)
    display = GradientFlowDisplay(epochs=[0, 1, 2, 3], values=values).plot()
    shades = [lightness(line.get_color()) for line in display.lines_]
    assert (np.diff(shades) > 0).all()
    assert shades[-1] < 0.75  # to be seen on white
    ticks = display.colorbar_.get_ticks()
    assert ticks[0] == 1
    assert ticks[-1] == n_layers
    assert len(ticks) <= 12
    labels_apart(display.figure_)


def test_zeros_are_left_out_of_a_logarithmic_axis_and_named(pyplot, labels_apart):
    values = np.array([[1.0, 0, 1], [0.1, 0, 0], [0.01, 0, 1]])
    display = GradientFlowDisplay(epochs=[0, 1, 2], values=values).plot()
    assert np.isnan(display.lines_[1].get_ydata()).all()
    assert_array_equal(np.isnan(display.lines_[2].get_ydata()), [False, True, False])
    assert display.ax_.get_xlabel() == (
        "epoch\n(some values are zero or not finite and not drawn: 2 of the layers 2 to 3)"
    )
    labels_apart(display.figure_)
    one = GradientFlowDisplay(epochs=[0, 1, 2], values=values[:, :2]).plot()
    assert one.ax_.get_xlabel().endswith("not drawn: layer 2)")
    # zero is as good a share as any other
    share = GradientFlowDisplay(epochs=[0, 1, 2], values=values, quantity="dead").plot()
    assert share.ax_.get_xlabel() == "epoch"


def test_nothing_but_zeros(pyplot):
    display = GradientFlowDisplay(epochs=[0, 1], values=np.zeros((2, 2))).plot()
    assert display.ax_.get_yscale() == "linear"
    display.figure_.canvas.draw()


def test_style(flow, pyplot):
    display = GradientFlowDisplay.from_flow(flow).plot(cmap="cividis", line_kw={"linestyle": ":"})
    assert display.lines_[0].get_linestyle() == ":"
    assert display.lines_[0].get_color() == pyplot.get_cmap("cividis")(0.0)


def test_bad_arguments(flow):
    with pytest.raises(ValueError, match=r"quantity must be one of gradient_norms, .*; got 'norms'"):
        GradientFlowDisplay.from_flow(flow, quantity="norms")
    with pytest.raises(ValueError, match="quantity must be one of"):
        GradientFlowDisplay(epochs=[0], values=[[1]], quantity="norms")
    with pytest.raises(ValueError, match="flow has measured nothing yet"):
        GradientFlowDisplay.from_flow(gradient_flow())
    with pytest.raises(ValueError, match=r"a row for each of 2 epochs .* got shape \(1, 3\)"):
        GradientFlowDisplay(epochs=[0, 1], values=np.ones((1, 3)))
