"""The computational graph: how is the gradient of every weight computed?
======================================================================

To run it::

    python examples/02_computational_graph.py

A network computes its output and the cost C in small blocks, each from the values of earlier ones: a graph.
Backpropagation visits the blocks from the last to the first. Each has its own rule, which gives dC/d(input) for each of
its inputs from dC/d(output), the result of the blocks after it. Write dx for dC/dx, n for the number of rows, and * for
the product element by element; then the blocks of this network are ::

    block                  forward                                  backward
    ------------------------------------------------------------------------------------------------------------
    linear                 z = a W + b                              da = dz W^T,  dW = a^T dz,
                                                                    db = the sum of the rows of dz
    tanh                   a = tanh(z)                              dz = da * (1 - a²)
    logistic               a = 1 / (1 + exp(-z))                    dz = da * a * (1 - a)
    log-loss               C = -mean(log p), with p = a             dp = -1 / (n p),
                           where y = 1, p = 1 - a where y = 0       da = dp where y = 1, -dp where y = 0
    mean squared error     C = mean((a - y)²)                       da = 2 (a - y) / n

The network has two tanh units and a logistic output unit, which predicts whether an iris is of the species Iris
virginica; the data are three irises. The script shows the graphs of both costs with all values and gradients, compares
the backward pass block by block with `fastbp.autodiff`, and takes a step of gradient descent, which lowers the cost
about as much as the gradient predicts. It also shows why classifiers use the log-loss: its gradient is largest where
the network is most wrong.
"""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

from fastbp import Network
from fastbp.autodiff import Graph, Variable, constant, log, logistic, tanh, where
from fastbp.inspection import GraphDisplay

# %%
# Three irises
# ------------

# One flower of each species, by the length and the width of its petals; y = 1 is an Iris virginica.
X, species = load_iris(return_X_y=True)
flowers = [0, 50, 100]
X = constant(StandardScaler().fit_transform(X[:, 2:])[flowers], name="X")
y = constant(species[flowers, np.newaxis] == 2, name="y")
n = len(flowers)

network = Network([2, 2, 1], "tanh", "logistic", loss="log_loss", random_state=0)


def forward(W1, b1, W2, b2):
    """The blocks of the network. Each is a Variable, which stores its operation and the operands."""
    z1 = X @ W1 + b1
    a1 = tanh(z1)
    z2 = a1 @ W2 + b2
    a2 = logistic(z2)
    return z1, a1, z2, a2


def log_loss(a):
    p = where(y, a, 1 - a)
    p.name = "p"
    return -log(p).mean()


def mean_squared_error(a):
    return ((a - y) ** 2).mean()


eta = 0.1  # the learning rate
graphs, deltas = {}, {}
for cost in (log_loss, mean_squared_error):
    # Forward, and the cost.
    W1, W2 = (Variable(W, name=f"W{i}") for i, W in enumerate(network.coefs, start=1))
    b1, b2 = (Variable(b, name=f"b{i}") for i, b in enumerate(network.intercepts, start=1))
    z1, a1, z2, a2 = forward(W1, b1, W2, b2)
    z1.name, a1.name, z2.name, a2.name = "z1", "a1", "z2", "a2"
    C = cost(a2)
    C.name = "C"

    # Backward, by the graph: every node gets a `gradient`.
    C.backward()
    graphs[cost] = Graph(C)

    # Backward by hand, from the last block to the first.
    if cost is log_loss:
        dp = -1 / (n * np.where(y.value == 1, a2.value, 1 - a2.value))
        da2 = np.where(y.value == 1, dp, -dp)
    else:
        da2 = 2 * (a2.value - y.value) / n
    dz2 = da2 * a2.value * (1 - a2.value)
    da1, dW2, db2 = dz2 @ W2.value.T, a1.value.T @ dz2, dz2.sum(axis=0)
    dz1 = da1 * (1 - a1.value**2)
    dW1, db1 = X.value.T @ dz1, dz1.sum(axis=0)

    print(f"{cost.__name__}: C = {float(C):.4f}, and backward")
    for node, by_hand in [(a2, da2), (z2, dz2), (W2, dW2), (b2, db2), (a1, da1), (z1, dz1), (W1, dW1), (b1, db1)]:
        print(f"    d{node.name} = {by_hand.round(4).tolist()}")
        assert np.allclose(by_hand, node.gradient, rtol=0, atol=1e-14)
    deltas[cost] = dz2.ravel()

    # The kernels find the same gradient. Their squared error has a factor 1/2, which ours has not.
    kernels = network.with_loss("log_loss" if cost is log_loss else "squared_error")
    factor = 1 if cost is log_loss else 2
    dW, db = network.split(factor * kernels.loss_and_gradient(X.value, y.value)[1])
    for by_kernels, by_hand in zip([*dW, *db], [dW1, dW2, db1, db2], strict=True):
        assert np.allclose(by_kernels, by_hand, rtol=0, atol=1e-14)

    # Descent: p <- p - eta dC/dp for every parameter p. To first order in eta, C decreases by eta times the sum of all
    # (dC/dp)²; the difference is due to the curvature of C.
    params = (W1, b1, W2, b2)
    _, _, _, a2_after = forward(*(p.value - eta * p.gradient for p in params))
    decrease, predicted = float(C - cost(a2_after)), eta * sum(np.sum(p.gradient**2) for p in params)
    print(f"    a step lowers C by {decrease:.4f}; the gradient predicts {predicted:.4f}\n")
    assert 0.9 * predicted < decrease < 1.1 * predicted

# The first two flowers are no virginica, and the prediction for the second one has the larger error. The log-loss has
# the larger gradient there: its factor 1 / (1 - a) cancels the slope a (1 - a) of the logistic unit, and the result is
# dz = (a - y) / n. The gradient of the squared error keeps the slope, which is small where the network is wrong with
# high confidence.
print("Predictions:", a2.value.ravel().round(3), "targets:", y.value.ravel())
assert a2.value[0] < a2.value[1]
assert deltas[log_loss][0] < deltas[log_loss][1]
assert deltas[mean_squared_error][0] > deltas[mean_squared_error][1]
assert np.allclose(deltas[log_loss], (a2.value - y.value).ravel() / n)

# %%
# Picture
# -------

try:
    GraphDisplay.from_graph(graphs[log_loss]).figure_.savefig("02_computational_graph.png", dpi=100)
    GraphDisplay.from_graph(graphs[mean_squared_error]).figure_.savefig("02_computational_graph_2.png", dpi=100)
except ImportError:
    print("No pictures: matplotlib is not installed. Here is the first graph as a table:", graphs[log_loss], sep="\n")
else:
    print("The pictures are 02_computational_graph.png (log-loss) and 02_computational_graph_2.png (squared error)")
