"""What can be wrong inside of a network."""

import numpy as np

from fastbp.inspection.gradient_flow import EXPLODING, VANISHING
from fastbp.inspection.reports.page.numbers import listed, number, percent, plain
from fastbp.inspection.reports.rules import ENOUGH_ROWS

#: A layer with more dead units than this share has lost much of its width. After He initialization, half of the units
#: of a ReLU layer are active on a row, and a healthy layer has few that are active on none (Lu et al., 2020, Dying ReLU
#: and initialization).
MOST_DEAD = 0.25

#: Share of slopes below 1/20 of the slope at zero from which on a layer learns little (Glorot and Bengio, 2010,
#: Understanding the difficulty of training deep feedforward neural networks, section 3).
MOST_SATURATED = 0.5


def vanishing_gradient(evidence):
    """The gradient of the first layers is tiny beside that of the last."""
    flow = own_flow(evidence)
    if flow is None or not flow.vanishing:
        return None
    smallest = np.nanmin(flow.relative_gradient)
    layers = "Layer" if len(flow.vanishing) == 1 else "Layers"
    return (
        "The gradient vanishes on its way back",
        f"{layers} {layer_numbers(flow.vanishing)} of {len(flow.activations)}: the gradient is down to "
        f"{number(smallest)} of that of the output layer, under the limit of {plain(VANISHING)}. These layers hardly "
        "learn.",
        [
            "fewer layers: one to three are enough for most tables",
            "activation='relu' or 'gelu' in place of a saturating one such as 'logistic' or 'tanh'",
            "residual=True, and normalization='layer', for networks that must be deep",
        ],
    )


def exploding_gradient(evidence):
    """The gradient is huge beside the weights."""
    flow = own_flow(evidence)
    if flow is None or not flow.exploding:
        return None
    return (
        "The gradient explodes",
        f"Layers {layer_numbers(flow.exploding)} of {len(flow.activations)}: the gradient is more than "
        f"{plain(EXPLODING)} times the weights or the gradient of the output layer, or is not finite. Each step "
        "throws the weights far away.",
        [
            "standardize X, and of a regressor y: very large numbers are the most frequent cause",
            "clip_norm=1.0, which limits the length of the gradient",
            "a smaller learning_rate_init",
            "normalization='batch' for deep networks",
        ],
    )


def dead_units(evidence):
    """Units that are off on every row."""
    shares = hidden(evidence, "dead")
    if evidence.subject.n < ENOUGH_ROWS or not (shares > MOST_DEAD).any():
        return None
    return (
        "Units are dead",
        f"{layers_with(shares, MOST_DEAD)} of the units have slope zero on every row that was looked at: they get no "
        "gradient, and do not learn any more.",
        [
            "a smaller learning_rate_init: a large step can push a unit out of reach of all rows",
            "standardized inputs",
            "activation='leaky_relu' or 'gelu', whose slope is not zero",
        ],
    )


def saturated_units(evidence):
    """Units that are at their limits on most rows."""
    shares = hidden(evidence, "saturated")
    if not (shares > MOST_SATURATED).any():
        return None
    return (
        "Units are saturated",
        f"{layers_with(shares, MOST_SATURATED)} of the slopes are below a twentieth of the slope at zero: the "
        "activation is at its limits on these rows, and passes hardly any gradient back.",
        [
            "standardized inputs, so that the sums are small",
            "a smaller learning_rate_init, or a larger alpha, which keep the weights small",
            "activation='relu' or 'gelu', or normalization='batch'",
        ],
    )


def hidden(evidence, quantity):
    """A quantity of the hidden layers; empty if it is not known."""
    flow = own_flow(evidence)
    return np.empty(0) if flow is None else getattr(flow, quantity)[-1, :-1]


def own_flow(evidence):
    """The gradients of a network whose layers the user has chosen; None for an ensemble of a preset."""
    return evidence.flow if evidence.is_single else None


def layers_with(shares, limit):
    """The layers above a limit, each with its share, in words."""
    layers = np.flatnonzero(shares > limit)
    return listed([f"layer {i + 1}: {percent(shares[i])}" for i in layers], 6).capitalize()


def layer_numbers(layers):
    """1 to 5, or 1, 2 and so on."""
    if len(layers) > 2 and layers[-1] - layers[0] == len(layers) - 1:
        return f"{layers[0]} to {layers[-1]}"
    return listed(layers, 8)
