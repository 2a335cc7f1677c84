"""The display of a network: the units and weights that it draws, and readable labels."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.inspection import NetworkDisplay
from fastbp.inspection._plotting import BLUE, VERMILLION
from fastbp.layers import Dense, Residual

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))


def captions(display):
    return [text.get_text() for text in display.ax_.texts]


def test_lines_are_weights(pyplot):
    from matplotlib.colors import to_hex

    W = np.array([[1.0, -2.0], [0.5, 0.0], [-4.0, 3.0]])
    display = NetworkDisplay(coefs=[W]).plot()
    (lines,) = display.lines_
    ends = {tuple(map(tuple, np.round(path.vertices, 6))): i for i, path in enumerate(lines.get_paths())}
    inputs, outputs = (np.round(units.get_offsets(), 6) for units in display.units_)
    widths, colours, styles = lines.get_linewidths(), lines.get_colors(), lines.get_linestyles()
    assert len(ends) == 5  # a weight of zero has no line
    for i in range(3):
        for j in range(2):
            line = ends.get((tuple(inputs[i]), tuple(outputs[j])))
            if W[i, j] == 0:
                assert line is None
                continue
            assert_allclose(widths[line] / widths.max(), abs(W[i, j]) / 4)
            assert to_hex(colours[line]).upper() == (BLUE if W[i, j] > 0 else VERMILLION)
            # and by their style, for readers who do not see the colours
            assert (styles[line][1] is None) == (W[i, j] > 0)
    # first to last, from top to bottom
    assert (np.diff(inputs[:, 1]) < 0).all()


CASES = {
    "one weight": [1, 1],
    "one output": [4, 5, 1],
    "ten outputs": [64, 40, 10],
    "many units": [784, 512, 256, 10],
    "twelve layers": [3] * 12,
    "fifty layers": [64, *[20] * 49, 10],
}


@pytest.mark.parametrize("case", CASES)
def test_labels_are_apart(case, pyplot, labels_apart):
    sizes = CASES[case]
    display = NetworkDisplay.from_network(
        Network(sizes, "leaky_relu", "softmax", "log_loss", random_state=0),
        feature_names=[f"feature with a very long name, number {i}" for i in range(sizes[0])],
        output_names=[f"class with a long name {i}" for i in range(sizes[-1])],
    )
    shown = min(len(sizes), 8)
    assert len(display.units_) == shown
    # captions, names, and two words in the legend
    assert labels_apart(display.figure_) >= shown + min(sizes[0], 8) + min(sizes[-1], 8) + 2
    assert display.layer_sizes == tuple(sizes)


@pytest.mark.parametrize("case", CASES)
def test_labels_are_apart_on_small_axes(case, pyplot, labels_apart):
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4))
    network = Network(CASES[case], "leaky_relu", "softmax", "log_loss", random_state=0)
    names = [f"feature number {i}" for i in range(CASES[case][0])]
    for ax, given in zip(axes, (names, None), strict=True):
        NetworkDisplay.from_network(network, ax=ax, feature_names=given)
    labels_apart(figure)
    if len(CASES[case]) < 5:  # fewer words rather than unreadable ones
        assert min(text.get_fontsize() for text in figure.findobj(pyplot.Text) if text.get_text()) > 6.4


def test_units_left_out(pyplot):
    display = NetworkDisplay.from_network(
        Network([20, 6, 2], "tanh", random_state=0), feature_names=[f"x{i}" for i in range(20)], max_units=6
    )
    assert [len(units.get_offsets()) for units in display.units_] == [6, 6, 2]
    # the first ones and the last, with a gap before it
    y = display.units_[0].get_offsets()[:, 1]
    assert_allclose(np.diff(y), [-1, -1, -1, -1, -2])
    assert_allclose(y.min(), -y.max())
    words = captions(display)
    assert [word for word in words if word.startswith("x")] == ["x0", "x1", "x2", "x3", "x4", "x19"]
    assert "input\n20" in words
    assert "layer 1\n6\ntanh" in words
    assert "output\n2\nidentity" in words


def test_layers_left_out(pyplot):
    display = NetworkDisplay.from_network(Network([3] * 30, "tanh", random_state=0), max_layers=5)
    assert len(display.units_) == 5
    assert len(display.lines_) == 3  # none across the gap
    assert "25 more\nlayers" in captions(display)
    whole = NetworkDisplay.from_network(Network([3] * 5, "tanh", random_state=0), max_layers=5)
    assert len(whole.lines_) == 4
    assert not any("more" in word for word in captions(whole))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_names_from_the_estimator(pyplot):
    table = pd.DataFrame(X, columns=["height", "width", "depth"])
    kinds = np.array(["tin", "lead", "gold"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    arguments = dict(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    words = captions(NetworkDisplay.from_estimator(MLPClassifier(**arguments).fit(table, kinds)))
    assert {"height", "width", "depth", "gold", "lead", "tin", "output\n3\nsoftmax"} <= set(words)
    # one output: the probability of the second class
    binary = captions(NetworkDisplay.from_estimator(MLPClassifier(**arguments).fit(X, X[:, 0] > 0)))
    assert "True" in binary
    assert "False" not in binary
    regressor = MLPRegressor(**arguments).fit(X, X)
    words = captions(NetworkDisplay.from_estimator(regressor, feature_names=["a", "b", "c"]))
    assert words == ["input\n3", "layer 1\n4\nrelu", "output\n3\nidentity", "a", "b", "c"]


def test_weights_that_are_not_finite(pyplot):
    display = NetworkDisplay(coefs=[[[np.nan, 1.0], [np.inf, 0.5]], [[0.0], [0.0]]]).plot()
    assert [len(lines.get_paths()) for lines in display.lines_] == [2, 0]
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(coefs=[]), "coefs must be matrices"),
        (dict(coefs=[[1.0]]), "coefs must be matrices"),
        (dict(coefs=[np.ones((2, 3)), np.ones((2, 1))]), "coefs must be matrices whose fan_in is"),
        (dict(coefs=[np.ones((2, 3))], feature_names=["a"]), "feature_names must be 2 names"),
        (dict(coefs=[np.ones((2, 3))], output_names=["a"]), "output_names must be 3 names"),
        (dict(coefs=[np.ones((2, 3))], activations=["tanh", "relu"]), "activations must be 1 names"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        NetworkDisplay(**arguments)


@pytest.mark.parametrize(("arguments", "least"), [(dict(max_units=2), 3), (dict(max_layers=3), 4)])
def test_bad_limits(arguments, least, pyplot):
    with pytest.raises(ValueError, match=f"must be an integer >= {least}"):
        NetworkDisplay(coefs=[np.ones((2, 3))]).plot(**arguments)


def test_other_layers_cannot_be_drawn():
    network = Network(layers=[Dense(4), Residual([Dense(4)]), Dense(1)], n_features=3, random_state=0)
    with pytest.raises(ValueError, match=r"stack of Dense layers .* activation, add, dense"):
        NetworkDisplay.from_network(network)
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30.0)
    model = MLPRegressor(layers=[Dense(3), Residual([Dense(3)])], max_iter=5, tol=1e9, n_iter_no_change=1).fit(X, y)
    with pytest.raises(ValueError, match=r"stack of Dense layers .* activation, add, dense"):
        NetworkDisplay.from_estimator(model)


def test_activations_of_an_estimators_layers(pyplot):
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30.0)
    layers = [Dense(3, "tanh"), Dense(2, "silu")]
    model = MLPRegressor(layers=layers, max_iter=5, tol=1e9, n_iter_no_change=1).fit(X, y)
    assert tuple(NetworkDisplay.from_estimator(model).activations) == ("tanh", "silu", "identity")
