"""Forward or reverse mode? In which order should the factors of the chain rule be multiplied?
===========================================================================================

To run it::

    python examples/06_forward_or_reverse.py

The Jacobian of a network is a product of one Jacobian for each layer, J = J_L ... J_2 J_1. Instead of multiplying these
matrices, one multiplies vectors by them, from the right end or from the left::

    jvp    J u = J_L (... (J_2 (J_1 u)))    forward mode, first layer to last: a column of J for u = (0, .., 1, .., 0)
    vjp    v J = (((v J_L) ...) J_2) J_1    reverse mode, last layer to first: a row of J for v = (0, .., 1, .., 0)

Each costs about as much as the forward pass that computes the J_l before. J has as many columns as the network has
inputs, and as many rows as it has outputs.

1. The whole J in both modes, for networks of width n with n or 1 inputs and n or 1 outputs.
   A loss is a single output: that is why training uses reverse mode.
2. The order of multiplication alone. In z_1 = x W_1 + b_1, a_1 = f(z_1), a_2 = a_1 W_2 + b_2 let all layers have n
   units, let v be the gradient of a loss by a_2, and ask for the gradient by W_1. The chain rule says v A B, with ::

       v (1 x n),   A = da_2/dz_1 = W_2^T diag f'(z_1) (n x n),   B = dz_1/dW_1 (n x n^2, a column for each weight)

       v (A B)    2 n^4 + 2 n^3 operations: the product of the matrices first
       (v A) B    2 n^2 + 2 n^3 operations: the vector first, n times fewer

   Backpropagation needs even fewer. v A = (v W_2^T) * f'(z_1) is delta_1, and B is zero except for the x_i: the product
   with B is replaced by the outer product x^T delta_1, of n^2 operations.

The script measures both against n.
"""

import time

import numpy as np

from fastbp import Network
from fastbp.kernels import dense_forward


def seconds(function, *arguments):
    """The shortest time of as many calls as fit into 0.03 s, at least two."""
    times = []
    while len(times) < 2 or sum(times) < 0.03:
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


rng = np.random.default_rng(0)

# %%
# 1. The whole Jacobian, in both modes
# ------------------------------------

N_ROWS = 32
WIDTHS = (8, 16, 32, 64, 128, 256)
SHAPES = {"n inputs, 1 output": (None, 1), "n inputs, n outputs": (None, None), "1 input, n outputs": (1, None)}

jacobian_seconds = {}
print(f"The Jacobian of a network with two hidden layers at {N_ROWS} points, milliseconds")
print("                              n   forward mode   reverse mode   products")
for shape, (n_in, n_out) in SHAPES.items():
    for n in WIDTHS:
        inputs, outputs = n_in or n, n_out or n
        network = Network([inputs, n, n, outputs], "tanh", random_state=0)
        X = rng.normal(size=(N_ROWS, inputs))
        for mode in ("forward", "reverse"):
            jacobian_seconds[shape, mode, n] = seconds(network.jacobian, X, mode)
        # The order of multiplication changes the cost, not the product: J of shape (rows, outputs, inputs).
        assert np.allclose(network.jacobian(X, "forward"), network.jacobian(X, "reverse"), rtol=1e-10, atol=1e-12)
    forward, reverse = (1e3 * jacobian_seconds[shape, mode, n] for mode in ("forward", "reverse"))
    print(f"{shape:20}   {n:8}   {forward:12.2f}   {reverse:12.2f}   {inputs:3} or {outputs:3}")

# A forward pass and 256 products in one mode, a forward pass and one product in the other: a ratio of 257 to 2. On a
# busy machine it is still above 4.
for shape, dear, cheap in (("n inputs, 1 output", "forward", "reverse"), ("1 input, n outputs", "reverse", "forward")):
    assert jacobian_seconds[shape, dear, 256] > 4 * jacobian_seconds[shape, cheap, 256]

# %%
# 2. The order of multiplication
# ------------------------------

SIZES = (4, 8, 16, 32, 64, 96, 128, 160)


def matrices_first(x, v, A, B):
    return v @ (A @ B)


def vector_first(x, v, A, B):
    return (v @ A) @ B


def backpropagation(x, v, A, B):
    return x.T @ (v @ A)  # B is not needed


ORDERS = {"v (A B)": matrices_first, "(v A) B": vector_first, "x^T (v A)": backpropagation}


def flops(n):
    """Multiplications and additions of the three orders: 2 p q r for a product of p x q by q x r."""
    return 2 * n * n * n**2 + 2 * n * n**2, 2 * n * n + 2 * n * n**2, 2 * n * n + n * n


order_seconds = {}
print("\n    n   " + "   ".join(f"{order:>12}" for order in ORDERS) + "   milliseconds")
for n in SIZES:
    network = Network([n, n, n], "tanh", random_state=0)
    x, v = rng.normal(size=(1, n)), rng.normal(size=(1, n))
    (W_1, W_2), (b_1, _) = network.coefs, network.intercepts
    a_1 = dense_forward(x, W_1, b_1, "tanh")

    A = W_2.T * (1 - a_1**2)  # tanh'(z) = 1 - tanh(z)^2, a factor for each column
    B = np.kron(x, np.eye(n))  # dz_k/dW_ij = x_i where j = k: column i n + j is the weight W_ij

    # All three equal the gradient of the package's backpropagation.
    dW_1 = network.split(network.backward(x, v)[0])[0][0]
    for order, product in ORDERS.items():
        assert np.allclose(product(x, v, A, B).reshape(n, n), dW_1, rtol=1e-10, atol=1e-12)
        order_seconds[order, n] = seconds(product, x, v, A, B)
    print(f"{n:5}   " + "   ".join(f"{1e3 * order_seconds[order, n]:12.4f}" for order in ORDERS))
    # By the number of operations, the vector first is exactly n times cheaper.
    assert flops(n)[0] == n * flops(n)[1]

assert order_seconds["v (A B)", 160] > 2 * order_seconds["(v A) B", 160]

# %%
# Pictures
# --------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    styles = {"forward": ("#D55E00", "o", "a jvp for each input"), "reverse": ("#0072B2", "s", "a vjp for each output")}
    for axes, shape in zip(panels, SHAPES, strict=True):
        for mode, (color, marker, passes) in styles.items():
            times = [jacobian_seconds[shape, mode, n] for n in WIDTHS]
            axes.plot(WIDTHS, times, color=color, marker=marker, label=f"{mode} mode: {passes}")
        axes.set_xscale("log", base=2)
        axes.set_xticks(WIDTHS, [str(n) for n in WIDTHS])
        axes.set(yscale="log", xlabel="width n", title=shape)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"seconds for the Jacobian at {N_ROWS} points")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig("06_forward_or_reverse.png", dpi=120)

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    counted, measured = figure.subplots(1, 2)
    styles = (("#D55E00", "o", "matrices first"), ("#0072B2", "s", "vector first"), ("#009E73", "^", "backpropagation"))
    for k, (order, (color, marker, name)) in enumerate(zip(ORDERS, styles, strict=True)):
        style = {"color": color, "marker": marker, "label": f"${order}$: {name}"}
        counted.plot(SIZES, [flops(n)[k] for n in SIZES], **style)
        measured.plot(SIZES, [order_seconds[order, n] for n in SIZES], **style)
    counted.set(ylabel="operations", title="Counted")
    measured.set(ylabel="seconds", title="Measured")
    for axes in (counted, measured):
        axes.set_xscale("log", base=2)
        axes.set_xticks([4, 8, 16, 32, 64, 128], ["4", "8", "16", "32", "64", "128"])
        axes.set(yscale="log", xlabel="n (A is n x n, B is n x n²)")
        axes.grid(alpha=0.3)
    figure.legend(*counted.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig("06_forward_or_reverse_2.png", dpi=120)
    print("The pictures are in 06_forward_or_reverse.png and 06_forward_or_reverse_2.png")
