"""Backpropagation by hand: how is the gradient of a network computed?
===================================================================

To run it::

    python examples/01_backpropagation_by_hand.py

A network of logistic units, f(z) = 1 / (1 + exp(-z)), learns to distinguish malignant from benign tumours. For n rows,
with a_0 = X, the forward pass is, layer by layer, ::

    z_l = a_(l-1) W_l + b_l,        a_l = f(z_l),        l = 1, ..., L

and the cost is the binary cross-entropy, a mean over the rows, ::

    C = -1/n Σ [y log a_L + (1 - y) log(1 - a_L)].

Let delta_l = dC/dz_l. The chain rule gives each delta from that of the next layer, beginning with the last one, and the
gradients from the deltas (* multiplies element by element)::

    delta_L = dC/da_L * f'(z_L) = (a_L - y) / n
    delta_l = (delta_(l+1) W_(l+1)^T) * f'(z_l)        f'(z_l) = a_l * (1 - a_l)
    dC/dW_l = a_(l-1)^T delta_l
    dC/db_l = the sum of the rows of delta_l

The script contains these formulas in NumPy, and again with the kernels that fastbp uses for training. It shows that
both agree with finite differences, that the gradient becomes smaller from the last layer to the first, and that
gradient descent fits the data.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastbp import Network
from fastbp.kernels import dense_backward, dense_forward

# %%
# Both functions take W = [None, W_1, ..., W_L], so that W[l] is W_l, and b likewise. They return the cost and its
# gradient as one vector, in the order in which fastbp keeps parameters: W_1, ..., W_L, b_1, ..., b_L.


def by_hand(X, y, W, b):
    L, n = len(W) - 1, len(X)
    a, dW, db = [X], [None] * len(W), [None] * len(W)
    for layer in range(1, L + 1):
        z = a[layer - 1] @ W[layer] + b[layer]
        a.append(1 / (1 + np.exp(-z)))
    cost = -np.mean(y * np.log(a[L]) + (1 - y) * np.log(1 - a[L]))

    # dC/da_L = (a_L - y) / (a_L (1 - a_L)) / n, and the denominator is f'(z_L): the two cancel.
    delta = (a[L] - y) / n
    for layer in range(L, 0, -1):
        dW[layer] = a[layer - 1].T @ delta
        db[layer] = delta.sum(axis=0)
        if layer > 1:
            delta = (delta @ W[layer].T) * (a[layer - 1] * (1 - a[layer - 1]))
    return cost, np.concatenate([gradient.ravel() for gradient in dW[1:] + db[1:]])


def by_kernels(X, y, W, b):
    L, n = len(W) - 1, len(X)
    a, dW, db = [X], [None] * len(W), [None] * len(W)
    for layer in range(1, L + 1):
        a.append(dense_forward(a[layer - 1], W[layer], b[layer], "logistic"))
    cost = -np.mean(y * np.log(a[L]) + (1 - y) * np.log(1 - a[L]))

    # The backward pass of a layer does not depend on the cost: it takes dC/da_l and returns dC/da_(l-1).
    da = (a[L] - y) / (a[L] * (1 - a[L])) / n
    for layer in range(L, 0, -1):
        da, dW[layer], db[layer] = dense_backward(da, a[layer - 1], W[layer], a[layer], "logistic")
    return cost, np.concatenate([gradient.ravel() for gradient in dW[1:] + db[1:]])


# %%
# The data: 569 tumours, 30 measurements of each; y = 1 is malignant.

X, y = load_breast_cancer(return_X_y=True)
y = 1.0 - y[:, np.newaxis]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

# %%
# The gradient at random weights, computed in three ways. W and b are views into `params`.

network = Network([30, 8, 4, 1], "logistic", "logistic", loss="log_loss", random_state=0)
W, b = [None, *network.coefs], [None, *network.intercepts]
_, g_hand = by_hand(X_train, y_train, W, b)
_, g_kernels = by_kernels(X_train, y_train, W, b)

step = 1e-5
g_differences = np.empty(network.n_params)
for i, value in enumerate(network.params.copy()):
    network.params[i] = value + step
    cost_above, _ = by_hand(X_train, y_train, W, b)
    network.params[i] = value - step
    cost_below, _ = by_hand(X_train, y_train, W, b)
    network.params[i] = value
    g_differences[i] = (cost_above - cost_below) / (2 * step)

largest = abs(g_hand).max()
print(f"The gradient has {network.n_params} components. They differ")
print(f"  between NumPy and the kernels by at most {abs(g_hand - g_kernels).max():.0e}: rounding errors,")
print(f"  between NumPy and differences by at most {abs(g_hand - g_differences).max():.0e}: their truncation error.")
assert abs(g_hand - g_kernels).max() < 1e-12 * largest
assert abs(g_hand - g_differences).max() < 1e-7 * largest
# A Network computes it in one call.
assert np.allclose(g_hand, network.loss_and_gradient(X_train, y_train)[1], rtol=0, atol=1e-12 * largest)

# Each layer multiplies delta by f'(z) <= 1/4 and by weights, which are small here.
layer_of = np.empty(network.n_params, int)
for layer, (by_W, by_b) in enumerate(zip(*network.split(layer_of), strict=True), start=1):
    by_W[...] = by_b[...] = layer
largest_in_1, largest_in_2, largest_in_3 = (abs(g_hand[layer_of == layer]).max() for layer in (1, 2, 3))
print(f"The largest are {largest_in_3:.3f} in layer 3, {largest_in_2:.3f} in layer 2, {largest_in_1:.3f} in layer 1.")
assert largest_in_1 < largest_in_2 < largest_in_3

# %%
# Gradient descent, params <- params - eta dC/dparams, in NumPy and with the kernels, from the same initial weights.


def descend(cost_and_gradient, eta=1.0, n_steps=200):
    """The trained network, and the costs of the training rows and of the test rows before each step."""
    descending = network.copy()
    W, b = [None, *descending.coefs], [None, *descending.intercepts]
    costs = np.empty((n_steps, 2))
    for t in range(n_steps):
        costs[t, 0], gradient = cost_and_gradient(X_train, y_train, W, b)
        costs[t, 1], _ = cost_and_gradient(X_test, y_test, W, b)
        descending.params -= eta * gradient
    return descending, costs


trained_by_hand, costs_hand = descend(by_hand)
trained_by_kernels, costs_kernels = descend(by_kernels)
accuracy = np.mean((trained_by_kernels.forward(X_test) > 0.5) == (y_test == 1))
print(f"{len(costs_hand)} steps of descent reduce the cost from {costs_hand[0, 0]:.2f} to {costs_hand[-1, 0]:.2f};")
print(f"{accuracy:.1%} of the {len(y_test)} test tumours are then classified correctly.")
assert np.allclose(trained_by_hand.params, trained_by_kernels.params, rtol=0, atol=1e-8)
assert costs_hand[-1, 0] < 0.1 * costs_hand[0, 0]
assert accuracy > 0.93


def draw(path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    gradients, descent = figure.subplots(1, 2)
    for layer, marker, size, colour in ((1, "o", 9, "#0072B2"), (2, "s", 8, "#E69F00"), (3, "^", 8, "#009E73")):
        x, y = abs(g_differences[layer_of == layer]), abs(g_hand[layer_of == layer])
        gradients.loglog(x, y, marker, markersize=size, color=colour, label=f"layer {layer}, by hand")
    gradients.loglog(abs(g_differences), abs(g_kernels), ".", markersize=2, color="black", label="all, by kernels")
    gradients.set(
        title=f"Size of the {network.n_params} derivatives of C",
        xlabel="finite differences",
        ylabel="backpropagation",
    )
    descent.plot(costs_hand[:, 0], color="#E69F00", linewidth=5, label="training rows, by hand")
    descent.plot(costs_kernels[:, 0], color="#0072B2", linewidth=2, linestyle="--", label="training rows, by kernels")
    descent.plot(costs_kernels[:, 1], color="black", linewidth=2, linestyle=":", label="test rows, by kernels")
    descent.set(title="Gradient descent", xlabel="step", ylabel="cost C", ylim=0)
    for axes in (gradients, descent):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


# %%
# Picture
# -------

try:
    draw("01_backpropagation_by_hand.png")
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    print("The picture is 01_backpropagation_by_hand.png")
