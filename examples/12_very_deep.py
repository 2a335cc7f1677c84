"""Can a network of 1,000 layers be trained?
=========================================

To run it::

    python examples/12_very_deep.py

Example 04 shows why most plain networks of this depth cannot: from layer to layer, the gradient is multiplied by a
matrix, and a product of a thousand matrices vanishes, or has one direction only. A residual connection adds to the
pre-activations z of a layer those of the layer before it::

    plain              z_i =           f(z_(i-1)) W_i + b_i
    sum                z_i = z_(i-1) + f(z_(i-1)) W_i + b_i
    residual           z_i = z_(i-1) + s_i * (f(z_(i-1)) W_i + b_i)
    residual + norm    z_i = z_(i-1) + s_i * (f(norm(z_(i-1))) W_i + b_i)

The derivative of z_i by z_(i-1) is the identity and another term, so the gradient cannot vanish on its way to the first
layer (He et al., 2016, Identity mappings in deep residual networks). But it can explode. With Var(W) = 1/width, relu
adds half of the variance of z in each layer, and 1.5^1000 = 1e176 is beyond the range of float32. ::

    s_i     begins at 1/sqrt(n) for n connections: the variance is multiplied by 1 + 1/(2n) in each, and by less than 2
            in all of them
    norm    divides each row by its root mean square: what a layer adds no longer depends on the size of z

`MLPClassifier(residual=True)` makes the connections with the factors s_i, which are trained; `normalization="rms"` or
"layer" makes the norm. The sum alone has no parameter of its own; it is made of `fastbp.layers`.

The script trains networks of 4 to 1,000 hidden layers of 16 units on handwritten digits, with the same settings for
all. `fastbp.inspection.gradient_flow` measures the gradients of all layers. The deep plain networks remain at the loss
of a constant prediction, ln 10 = 2.303, and the deep sums explode. Residual networks train at every depth, with a norm
and without. This shows that so many layers can be trained, not that one should: example 03 compares depths at the same
number of parameters.
"""

import numpy as np
from sklearn.datasets import load_digits

from fastbp import MLPClassifier
from fastbp.inspection import gradient_flow
from fastbp.layers import Activation, Dense, Residual

DEPTHS = (4, 30, 100, 1000)  # hidden layers
WIDTH, EPOCHS = 16, 15


def sums(depth):
    """Residual connections without factors and without a norm."""
    block = Residual([Activation("relu"), Dense(WIDTH)])
    return {"layers": [Dense(WIDTH), *[block] * (depth - 1), Activation("relu")]}


KINDS = {
    "plain": lambda depth: {"hidden_layer_sizes": (WIDTH,) * depth},
    "sum": sums,
    "residual": lambda depth: {"hidden_layer_sizes": (WIDTH,) * depth, "residual": True},
    "residual + norm": lambda depth: {
        "hidden_layer_sizes": (WIDTH,) * depth,
        "residual": True,
        "normalization": "rms",
    },
}

X, y = load_digits(return_X_y=True)  # scans of handwritten digits, 8 x 8 pixels
X = ((X - X.mean()) / X.std()).astype(np.float32)
X, y, X_test, y_test = X[:1000], y[:1000], X[1000:], y[1000:]

loss, accuracy, curves, norms = {}, {}, {}, {}
print(f"Loss on the training data and test accuracy after {EPOCHS} epochs; norm of dL/dW before training")
print("                  layers      loss   accuracy   first layer   last layer")
for name, options in KINDS.items():
    for depth in DEPTHS:
        flow = gradient_flow(X[:100], y[:100], every=EPOCHS)
        model = MLPClassifier(
            batch_size=50,
            learning_rate="cosine",  # falls to 0 in the last epoch
            max_iter=EPOCHS,
            n_iter_no_change=np.inf,
            n_threads=1,  # a second thread is of little use for such small batches
            random_state=0,
            callbacks=flow,
            **options(depth),
        )
        key = name, depth
        try:
            model.fit(X, y)
        except ValueError:  # the output or the weights are no longer finite
            loss[key], accuracy[key], curves[key] = np.inf, np.nan, []
        else:
            loss[key], accuracy[key], curves[key] = model.loss_, model.score(X_test, y_test), model.loss_curve_
        norms[key] = flow.gradient_norms[0]
        first, last = norms[key][[0, -1]]
        print(f"{name:16}{depth:8,}{loss[key]:10.3f}{accuracy[key]:11.2f}{first:14.1e}{last:13.1e}")

# %%
# Claims
# ------

constant = np.log(10)  # the loss of a prediction of 1/10 for each digit
for name in KINDS:  # four layers train in any way
    assert accuracy[name, 4] > 0.6
for depth in (100, 1000):
    assert abs(loss["plain", depth] - constant) < 0.1
    assert loss["sum", depth] > constant
# The gradient of the first of 1,000 layers is below the range of float32 in the plain network ...
assert norms["plain", 1000][0] == 0
# ... explodes with the depth in the sum ...
assert norms["sum", 30][0] > 10 * norms["sum", 4][0]
assert norms["sum", 100][0] > 1e6
# ... and does not depend on the depth with factors of 1/sqrt(n).
for name in ("residual", "residual + norm"):
    of_first_layer = [norms[name, depth][0] for depth in DEPTHS]
    assert max(of_first_layer) < 5 * min(of_first_layer)
    for depth in DEPTHS:
        assert accuracy[name, depth] > 0.65

# %%
# Picture
# -------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    from matplotlib import colormaps

    figure = Figure(figsize=(12, 6), layout="constrained")
    panels = figure.subplots(2, len(KINDS), sharex="row", sharey="row")
    colors = colormaps["viridis"](np.linspace(0, 0.92, len(DEPTHS)))
    for (top, bottom), name in zip(panels.T, KINDS, strict=True):
        for depth, color in zip(DEPTHS, colors, strict=True):
            visible = np.where(norms[name, depth] > 0, norms[name, depth], np.nan)  # a logarithmic axis has no 0
            top.plot(np.linspace(0, 1, depth + 1), visible, color=color, linewidth=2, label=f"{depth:,} hidden layers")
            losses = curves[name, depth]
            bottom.plot(range(1, len(losses) + 1), losses, color=color, linewidth=2)
        top.set(yscale="log", ylim=(1e-40, 1e20), title=name, xlabel="layer")
        bottom.axhline(constant, color="0.4", linestyle="--", linewidth=1)
        bottom.set(ylim=(0, 3.5), xlabel="epoch")
        for axes in (top, bottom):
            axes.grid(alpha=0.3)
    panels[0, 0].set_xticks([0, 1], ["first", "last"])
    panels[0, 0].set_ylabel("norm of dL/dW, before training")
    panels[1, 0].set_ylabel("loss")
    panels[1, 0].text(EPOCHS, constant, "constant prediction", color="0.3", ha="right", va="bottom")
    panels[1, 1].text(1, 0.3, f"100: ends at {loss['sum', 100]:.1f}", color=colors[2])
    panels[1, 1].text(1, 0.1, f"1,000: {loss['sum', 1000]:.1f}", color=colors[3])
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(DEPTHS))
    figure.savefig("12_very_deep.png", dpi=120)
    print("The picture is in 12_very_deep.png")
