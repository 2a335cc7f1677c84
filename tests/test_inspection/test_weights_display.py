"""Weights as images and as heat maps: every number in its place."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPRegressor, Network
from fastbp.inspection import WeightsDisplay

RNG = np.random.default_rng(0)


def tiles(display, shape, n):
    """The n images in the mosaic, read back from it."""
    mosaic = np.ma.filled(display.image_.get_array().astype(float), np.nan)
    filled = ~np.isnan(mosaic)
    found, seen = [], np.zeros_like(filled)
    for top, left in zip(*np.nonzero(filled), strict=True):
        if not seen[top, left]:
            found.append(mosaic[top : top + shape[0], left : left + shape[1]])
            seen[top : top + shape[0], left : left + shape[1]] = True
    assert seen.sum() == filled.sum() == n * shape[0] * shape[1]
    return found


@pytest.mark.parametrize(("shape", "n_units"), [((8, 8), 1), ((8, 8), 7), ((20, 5), 6), ((2, 40), 9), ((28, 28), 64)])
def test_images(shape, n_units, pyplot, labels_apart):
    coefs = RNG.normal(size=(shape[0] * shape[1], n_units))
    display = WeightsDisplay(coefs=coefs, image_shape=shape).plot()
    found = tiles(display, shape, n_units)
    assert len(found) == n_units
    for k, image in enumerate(found):
        assert_array_equal(image, coefs[:, k].reshape(shape))
    labels_apart(display.figure_)


def test_square_images_are_recognised(pyplot):
    assert WeightsDisplay(coefs=np.ones((64, 2))).image_shape == (8, 8)
    assert WeightsDisplay(coefs=np.ones((784, 2))).image_shape == (28, 28)
    assert WeightsDisplay(coefs=np.ones((4, 2))).image_shape is None
    assert WeightsDisplay(coefs=np.ones((65, 2))).image_shape is None
    assert WeightsDisplay(coefs=np.ones((64, 2)), image_shape=None).image_shape is None
    # columns with names are a table
    assert WeightsDisplay(coefs=np.ones((64, 2)), feature_names=map(str, range(64))).image_shape is None


@pytest.mark.parametrize(("n_features", "n_units"), [(1, 1), (4, 3), (30, 6), (3, 100), (300, 64)])
def test_heat_map(n_features, n_units, pyplot, labels_apart):
    coefs = RNG.normal(size=(n_features, n_units))
    names = [f"a name that is longer than there is room for, {i}" for i in range(n_features)]
    display = WeightsDisplay(coefs=coefs, feature_names=names).plot(max_units=100)
    assert_array_equal(display.image_.get_array(), coefs)
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    places = display.ax_.get_yticks().astype(int)
    assert places[0] == 0
    for place, label in zip(places, labels, strict=True):
        assert len(label) == 28
        assert label.startswith("a name that")
        assert label.endswith(f", {place}")
    assert display.ax_.get_xticklabels()[0].get_text() == "1"
    labels_apart(display.figure_)


def test_scale_is_symmetric(pyplot):
    display = WeightsDisplay(coefs=[[1.0, -3.0]]).plot()
    assert display.image_.get_clim() == (-3, 3)
    assert display.colorbar_.mappable is display.image_
    assert WeightsDisplay(coefs=[[0.0]]).plot().image_.get_clim() == (-1, 1)


def test_part_of_many_units(pyplot, labels_apart):
    network = Network([64, 100, 2], random_state=0)
    display = WeightsDisplay.from_network(network)
    assert display.ax_.get_title() == "Weights of the first layer: first 64 of 100 units"
    assert_array_equal(tiles(display, (8, 8), 64)[63], network.coefs[0][:, 63].reshape(8, 8))
    assert WeightsDisplay.from_network(network, max_units=100).ax_.get_title().endswith(": 100 units")
    labels_apart(display.figure_)


def test_the_display_is_of_its_moment(pyplot):
    network = Network([3, 2], random_state=0)
    display = WeightsDisplay.from_network(network)
    network.params[...] = 0
    assert display.coefs.any()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_names_of_columns(pyplot):
    table = pd.DataFrame(RNG.normal(size=(20, 3)), columns=["height", "width", "depth"])
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(table, table["depth"])
    display = WeightsDisplay.from_estimator(model)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["height", "width", "depth"]
    assert_array_equal(display.image_.get_array(), model.coefs_[0])
    other = WeightsDisplay.from_estimator(model, feature_names=["a", "b", "c"])
    assert [text.get_text() for text in other.ax_.get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(coefs=[1.0, 2.0]), r"coefs must have shape \(n_features, n_units\), got \(2,\)"),
        (dict(coefs=np.ones((0, 3))), r"coefs must have shape \(n_features, n_units\), got \(0, 3\)"),
        (dict(coefs=np.ones((6, 1)), image_shape=(2, 2)), r"image_shape must be .* with 6 pixels.*; got \(2, 2\)"),
        (dict(coefs=np.ones((6, 1)), image_shape=(6,)), r"image_shape must be .* with 6 pixels.*; got \(6,\)"),
        (dict(coefs=np.ones((6, 1)), image_shape="square"), "image_shape must be .*; got 'square'"),
        (dict(coefs=np.ones((2, 1)), feature_names=["a"]), "feature_names must be 2 names to fit the network, got 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightsDisplay(**arguments)


def test_bad_number_of_units(pyplot):
    with pytest.raises(ValueError, match="max_units must be an integer >= 1, got 0"):
        WeightsDisplay(coefs=[[1.0]]).plot(max_units=0)
