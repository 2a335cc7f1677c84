"""A tiny autodiff: how does automatic differentiation work, and what is it good for?
==================================================================================

To run it::

    python examples/07_tiny_autodiff.py

For an operation y = f(x), dC/dx is dC/dy times the derivative of f, or, for arrays, times its transposed Jacobian. A
program consists of operations. If each result stores its operands and this rule, then the chain rule is a loop over the
results from the cost C back to the first ones, which applies the rules and adds up the gradients of values that were
used more than once. The class `Tiny` below does this (the idea of Andrej Karpathy's micrograd, with arrays);
`fastbp.autodiff` is the same with more operations, broadcasting and error messages.

One application is a loss from its formula. Here every tenth of 331 patients was recorded with a target that is ten
times too large, by a misplaced decimal point. These records spoil a network that is trained with the squared error. A
network trained with a loss that is robust to large errors (Holland and Welsch, 1977), ::

    squared error    e² / 2                           its derivative    e
    Cauchy loss      c² / 2 log(1 + (e / c)²)         its derivative    e / (1 + (e / c)²), never larger than c / 2

predicts almost as well as without them. It is trained in the same compiled loop, and its derivative need not be known.
"""

import timeit

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastbp import MLPRegressor, Network
from fastbp.autodiff import FormulaLoss, Variable, log, tanh

# %%
# 1. The idea: a value stores the values from which it was computed, and for each of them the rule that computes its
#    gradient from g, the gradient of this value.


class Tiny:
    def __init__(self, value, *origins):
        self.value, self.origins, self.gradient = value, origins, 0.0

    def __add__(a, b):
        return Tiny(a.value + b.value, (a, lambda g: g), (b, lambda g: g))

    def __mul__(a, b):
        return Tiny(a.value * b.value, (a, lambda g: g * b.value), (b, lambda g: g * a.value))

    def __matmul__(a, b):
        return Tiny(a.value @ b.value, (a, lambda g: g @ b.value.T), (b, lambda g: a.value.T @ g))

    def tanh(a):
        y = np.tanh(a.value)
        return Tiny(y, (a, lambda g: g * (1 - y**2)))

    def sum(a):
        return Tiny(a.value.sum(), (a, lambda g: g * np.ones_like(a.value)))

    def backward(self):
        order = []  # every value after those it was computed from

        def visit(node):
            if node not in order:
                for origin, _ in node.origins:
                    visit(origin)
                order.append(node)

        visit(self)
        self.gradient = 1.0  # dC/dC
        for node in reversed(order):
            for origin, rule in node.origins:
                origin.gradient = origin.gradient + rule(node.gradient)


rng = np.random.default_rng(0)
X, W1, W2 = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 1))

tiny_X, tiny_W1, tiny_W2 = Tiny(X), Tiny(W1), Tiny(W2)
output = (tiny_X @ tiny_W1).tanh() @ tiny_W2
(output * output + output).sum().backward()  # output is used three times

var_W1, var_W2 = Variable(W1), Variable(W2)
output = tanh(X @ var_W1) @ var_W2
(output**2 + output).sum().backward()
print("The tiny class and fastbp.autodiff agree to", f"{abs(tiny_W1.gradient - var_W1.gradient).max():.0e}")
assert np.allclose(tiny_W1.gradient, var_W1.gradient, rtol=0, atol=1e-12)
assert np.allclose(tiny_W2.gradient, var_W2.gradient, rtol=0, atol=1e-12)

# %%
# 2. A loss from its formula. FormulaLoss evaluates the formula on the network's outputs in a graph, differentiates it,
#    and passes each row's loss and its derivative to the kernels.

c = 0.5  # much larger errors have little influence


def cauchy(y_true, raw_prediction):
    error = raw_prediction - y_true
    return c**2 / 2 * log(1 + (error / c) ** 2)


errors = np.linspace(-4, 4, 161)[:, np.newaxis]
losses, slopes = FormulaLoss(cauchy)(np.zeros_like(errors), errors)
assert np.allclose(slopes, errors / (1 + (errors / c) ** 2), rtol=0, atol=1e-12)

# %%
# 3. Training: ten measurements of each patient, and the progression of the diabetes after a year, from 0.25 to 3.46.

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y / 100, random_state=0)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
y_recorded = y_train.copy()
y_recorded[rng.choice(len(y_train), len(y_train) // 10, replace=False)] *= 10

predictions, mean_error = {}, {}
for name, loss, targets in [
    ("squared error, correct records", "squared_error", y_train),
    ("squared error, with outliers", "squared_error", y_recorded),
    ("Cauchy loss, with outliers", FormulaLoss(cauchy), y_recorded),
]:
    model = MLPRegressor(
        loss, (32,), "tanh", alpha=1, batch_size=32, learning_rate_init=0.003, max_iter=1000, random_state=0
    )
    predictions[name] = model.fit(X_train, targets).predict(X_test)
    mean_error[name] = mean_absolute_error(y_test, predictions[name])
    print(f"{name:30} mean error of {mean_error[name]:.2f} on {len(y_test)} other patients")
clean, squared, robust = mean_error.values()
assert robust < squared / 2
assert robust < 1.2 * clean

# %%
# 4. The cost. Only the formula is a graph here; its time does not depend on the width of the network. For comparison,
#    the whole network as a graph gives the same gradient, but its time grows with the network.


def all_in_a_graph(network, X, y):
    params = W1, W2, b1, b2 = [Variable(p) for p in (*network.coefs, *network.intercepts)]
    cost = cauchy(y, tanh(X @ W1 + b1) @ W2 + b2).mean()
    cost.backward()
    return float(cost), np.concatenate([p.gradient.ravel() for p in params])


def microseconds(width):
    """The time of a gradient over all rows: with the built-in squared error, with the formula, with all in a graph."""
    network = Network([10, width, 1], "tanh", loss=FormulaLoss(cauchy), random_state=0, n_threads=1)
    built_in = network.with_loss("squared_error")
    data = X_train, y_recorded[:, np.newaxis]
    difference = network.loss_and_gradient(*data)[1] - all_in_a_graph(network, *data)[1]
    assert abs(difference).max() < 1e-10
    gradients = (
        lambda: built_in.loss_and_gradient(*data),
        lambda: network.loss_and_gradient(*data),
        lambda: all_in_a_graph(network, *data),
    )
    return [1e6 * min(timeit.repeat(gradient, number=1, repeat=10)) for gradient in gradients]


print(f"\nµs for a gradient over {len(X_train)} rows {'squared error':>14}{'Cauchy formula':>16}{'all in a graph':>16}")
for width in (32, 512):
    print(f"    with {width:3} hidden units     ", "".join(f"{time:16.0f}" for time in microseconds(width)))


def draw(path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    formulas, patients = figure.subplots(1, 2)
    formulas.plot(errors, errors**2 / 2, color="#E69F00", label="squared error")
    formulas.plot(errors, errors, color="#E69F00", linestyle="--", label="its derivative")
    formulas.plot(errors, losses, color="#0072B2", linewidth=2, label="Cauchy loss, c = 0.5")
    formulas.plot(errors, slopes, color="#0072B2", linewidth=2, linestyle="--", label="its derivative, by autodiff")
    formulas.set(title="A formula and its derivative", xlabel="error e", xlim=(-4, 4), ylim=(-1.5, 3))
    styles = {"squared error, with outliers": ("#E69F00", "s"), "Cauchy loss, with outliers": ("#0072B2", "o")}
    for name, (colour, marker) in styles.items():
        patients.plot(y_test, predictions[name], marker, color=colour, markersize=4, label=name)
    patients.axline((0, 0), slope=1, color="black", linewidth=1, label="prediction = truth")
    patients.set(title="Test patients", xlabel="true progression", ylabel="predicted")
    for axes in (formulas, patients):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


# %%
# Picture
# -------

try:
    draw("07_tiny_autodiff.png")
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    print("The picture is 07_tiny_autodiff.png")
