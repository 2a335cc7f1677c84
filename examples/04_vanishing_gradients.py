"""Why do the gradients of deep networks vanish, and which deep networks can be trained?
=====================================================================================

To run it::

    python examples/04_vanishing_gradients.py

Forward, a layer computes z_l = a_(l-1) W_l + b_l and a_l = f(z_l). Backward, the gradient of the loss L by z_l is ::

    delta_l = (delta_(l+1) W_(l+1)^T) * f'(z_l)          dL/dW_l = a_(l-1)^T delta_l

So from the last layer to the first, delta is multiplied by W^T and f' of every layer. For n units and independent
random weights, each layer multiplies the mean square of delta by about ::

    chi = n Var(W) E[f'(z)^2]

and its norm by sqrt(chi). After a thousand layers the factor is chi^500: close to 0 for chi < 1, huge for chi > 1. ::

    logistic    Var(W) = 1/(3n), f' <= 1/4               sqrt(chi) about 0.14
    relu        Var(W) = 1/n, f' = 1 for half of them    sqrt(chi) about 0.71
    tanh        Var(W) = 1/n, f' = 1 - a^2 <= 1          sqrt(chi) < 1, nearer to 1 where z is small
    selu        Var(W) = 1/n, f' on both sides of 1      sqrt(chi) about 1.035, if z is standard normal

The default initial weights are Glorot's uniform ones, with the bounds and the random biases of scikit-learn. Selu was
designed for LeCun's normal weights, Var(W) = 1/fan_in, and zero biases (Klambauer et al., 2017). Between layers of
equal size Glorot's variance, 2/(fan_in + fan_out), equals LeCun's; the biases are the difference: they slow the growth
of selu's gradient. Both are shown here; a callback sets LeCun's weights. It also sets random orthogonal W without
biases for tanh: W^T keeps the norm of every delta, and f'(z) approaches 1 because z shrinks from layer to layer.

The script shows the norm of dL/dW_l in every layer of networks of 5 to 1,000 layers before training, and their accuracy
on the training digits after three epochs. The gradients of logistic, relu and tanh networks vanish as computed, and
these networks do not train then. The gradient of selu networks does not vanish; they train with 30 layers, but not with
300: the norm alone is not sufficient. A product of many independent random matrices stretches one direction and shrinks
the others, even if it keeps the mean square; so the ratio of the second singular value of the network's Jacobian to the
first is computed too. Orthogonal matrices stretch no direction (Saxe et al., 2014), and with them 1,000 layers train.
"""

import numpy as np
from sklearn.datasets import load_digits

from fastbp import MLPClassifier

DEPTHS = (5, 10, 30, 100, 300, 1000)  # layers with weights, the output layer among them
WIDTH, EPOCHS = 32, 3


def lecun_normal(network, rng):
    network.params[:] = 0
    for W in network.coefs:  # views into params
        W[...] = rng.normal(0, np.sqrt(1 / len(W)), W.shape)


def orthogonal(network, rng):
    network.params[:] = 0
    for W in network.coefs:
        W[...], _ = np.linalg.qr(rng.normal(size=W.shape))  # orthonormal columns: W^T W = 1


class Experiment:
    """A callback: sets the initial weights, measures the gradient before the first step, and ends training."""

    def __init__(self, initialize):
        self.initialize = initialize

    def on_fit_begin(self, state):
        if self.initialize is not None:
            self.initialize(state.network, np.random.default_rng(0))
        # In float64, whose smallest normal number is 1e-308; in float32, in which we train, it is 1e-38.
        network = state.network.astype(np.float64)
        _, gradient = network.loss_and_gradient(state.X[:100], state.targets[:100])
        weight_gradients, _ = network.split(gradient)
        self.norms = np.array([np.linalg.norm(dW) for dW in weight_gradients])
        if len(self.norms) == 100:
            stretched = np.linalg.svd(network.jacobian(state.X[:20]), compute_uv=False)  # largest first, for each row
            self.directions = np.median(stretched[:, 1] / stretched[:, 0])

    def on_epoch_end(self, state):
        return state.epoch == EPOCHS  # True ends training


# %%
# Measure, then train, every kind of network at every depth
# ---------------------------------------------------------

X, y = load_digits(return_X_y=True)  # scans of handwritten digits, 8 x 8 pixels
X, y = X[:1000], y[:1000]  # so that all networks together take seconds
X = ((X - X.mean()) / X.std()).astype(np.float32)

KINDS = {
    "logistic, Glorot": ("logistic", None),
    "relu, Glorot": ("relu", None),
    "tanh, Glorot": ("tanh", None),
    "tanh, orthogonal": ("tanh", orthogonal),
    "selu, Glorot": ("selu", None),
    "selu, LeCun": ("selu", lecun_normal),
}
norms, accuracy, factor, directions = {}, {}, {}, {}

print(
    f"Accuracy on the training digits after {EPOCHS} epochs, by number of layers (chance: 0.10); factor of the norm of"
)
print("dL/dW from a layer to the one before it; ratio of the Jacobian's second singular value to the first, 100 layers")
print("                  " + "".join(f"{depth:7}" for depth in DEPTHS) + "   factor    ratio")
for name, (activation, initialize) in KINDS.items():
    for depth in DEPTHS:
        experiment = Experiment(initialize)
        model = MLPClassifier(
            (WIDTH,) * (depth - 1),
            activation,
            # Adam changes every weight by about the learning rate in each step. The more layers there are, the smaller
            # the change of each must be.
            learning_rate_init=0.03 / depth,
            batch_size=50,
            alpha=0,
            n_threads=1,  # a second thread is of little use for such small batches
            max_iter=EPOCHS + 1,
            random_state=0,
            callbacks=experiment,
        )
        model.fit(X, y)
        norms[name, depth] = experiment.norms
        accuracy[name, depth] = model.score(X, y)
        if depth == 100:
            directions[name] = experiment.directions
    # The factor per layer, from 30 layers: a geometric mean over the hidden layers of equal size.
    inner = norms[name, 30][1:-1]
    factor[name] = (inner[0] / inner[-1]) ** (1 / (len(inner) - 1))
    row = "".join(f"{accuracy[name, depth]:7.2f}" for depth in DEPTHS)
    print(f"{name:18}{row}{factor[name]:9.3f}{directions[name]:9.1e}")

# %%
# Claims
# ------

# With few layers all train, the logistic network slowly.
assert min(accuracy[name, 5] for name in KINDS if name != "logistic, Glorot") > 0.9
# Logistic and relu networks vanish at the rate that the formula gives, tanh networks more slowly.
assert abs(factor["logistic, Glorot"] - np.sqrt(1 / 3) / 4) < 0.02
assert abs(factor["relu, Glorot"] - np.sqrt(1 / 2)) < 0.07
assert factor["relu, Glorot"] < factor["tanh, Glorot"] < 0.97
# In the first of 1,000 logistic layers the gradient is below the range of float64.
assert norms["logistic, Glorot", 1000][0] == 0
# With LeCun's weights, the gradients of selu networks do not vanish but grow.
assert norms["selu, LeCun", 1000][0] > norms["selu, LeCun", 1000][-1]
# But one direction dominates; with orthogonal matrices it does not.
assert directions["selu, LeCun"] < 0.2
assert directions["tanh, orthogonal"] > 0.5
# Where a gradient vanishes, training stops; selu networks of 30 layers train, but not of 300.
for name in ("logistic, Glorot", "relu, Glorot", "tanh, Glorot"):
    assert accuracy[name, 300] < 0.2
for name in ("selu, Glorot", "selu, LeCun"):
    assert accuracy[name, 30] > 0.5
    assert accuracy[name, 300] < 0.2
# Of the networks of 1,000 layers, only one trains.
for name in KINDS:
    assert (accuracy[name, 1000] > 0.5) == (name == "tanh, orthogonal")

# %%
# Pictures
# --------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    from matplotlib import colormaps

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    colors = colormaps["viridis"](np.linspace(0, 0.92, len(DEPTHS)))
    for axes, name in zip(panels.flat, KINDS, strict=True):
        for depth, color in zip(DEPTHS, colors, strict=True):
            layer_norms = norms[name, depth]
            visible = np.where(layer_norms > 0, layer_norms, np.nan)  # a logarithmic axis has no 0
            axes.plot(np.linspace(0, 1, depth), visible, color=color, linewidth=2, label=f"{depth:,} layers")
        axes.axhline(np.finfo(np.float32).tiny, color="0.4", linestyle="--", linewidth=1)
        axes.set(yscale="log", ylim=(1e-60, 1e18), title=name)
        axes.grid(alpha=0.3)
    panels[1, 0].text(0.02, 1e-37, "smallest normal float32", color="0.3", va="bottom")
    panels[1, 0].set_xticks([0, 1], ["first", "last"])
    for axes in panels[1]:
        axes.set_xlabel("layer")
    for axes in panels[:, 0]:
        axes.set_ylabel("norm of dL/dW, before training")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(DEPTHS))
    figure.savefig("04_vanishing_gradients.png", dpi=120)

    table = np.array([[accuracy[name, depth] for depth in DEPTHS] for name in KINDS])
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(table, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    axes.set_xticks(range(len(DEPTHS)), [f"{depth:,}" for depth in DEPTHS])
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.set(xlabel="layers", title=f"Accuracy on the training data after {EPOCHS} epochs")
    figure.colorbar(image, label="accuracy")
    figure.savefig("04_vanishing_gradients_2.png", dpi=120)
    print("The pictures are in 04_vanishing_gradients.png and 04_vanishing_gradients_2.png")
