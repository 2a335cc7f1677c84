"""Measure the cost of derivatives, in multiples of a forward pass.

    python benchmarks/derivatives.py
    python benchmarks/derivatives.py --quick --json derivatives.json

A forward pass is `Network.forward` on the same rows and with the same number of threads. Forward pass and derivatives
are timed in turns. The ratio of the shortest times is printed, and, for comparison, the ratio of the floating-point
operations in the matrix products.
"""

import argparse
import json
import time
from itertools import pairwise

import numpy as np

from fastbp import Network

NETS = [(20, 64, 64, 1), (64, 100, 10), (784, 100, 10), (784, 512, 256, 10), (256, 256, 256, 256, 256)]
ROWS = 4096

#: name: (products with the first layer's weights, products with those of each other layer, the call)
DERIVATIVES = {
    "vjp": (2, 2, lambda network, X, y, v, u, d: network.vjp(X, v)),
    "jvp": (2, 2, lambda network, X, y, v, u, d: network.jvp(X, u)),
    "input_gradient": (2, 2, lambda network, X, y, v, u, d: network.input_gradient(X, y)),
    "backward": (3, 3, lambda network, X, y, v, u, d: network.backward(X, v)),
    "loss_and_gradient": (2, 3, lambda network, X, y, v, u, d: network.loss_and_gradient(X, y)),
    "hvp": (3, 8, lambda network, X, y, v, u, d: network.hvp(X, y, d)),
}


def passes_by_operations(layer_sizes, first, other):
    """Operations of the matrix products, in multiples of a forward pass.

    Parameters
    ----------
    layer_sizes : tuple of int
    first, other : int
        Products with the weights of the first layer, and with those of each other one.
    """
    weights = [fan_in * fan_out for fan_in, fan_out in pairwise(layer_sizes)]
    return (first * weights[0] + other * sum(weights[1:])) / sum(weights)


def measure(layer_sizes, dtype, n_threads, n_rows, seconds):
    """Time a net's forward pass and derivatives in turns.

    Parameters
    ----------
    layer_sizes : tuple of int
    dtype : {"float32", "float64"}
    n_threads : int
    n_rows : int
    seconds : float
        Length of the whole measurement.

    Returns
    -------
    dict
        `forward_ms`, and for each derivative its cost in forward passes, measured and by operations.
    """
    rng = np.random.default_rng(0)
    network = Network(layer_sizes, "relu", "identity", dtype=dtype, n_threads=n_threads, random_state=0)
    X, u = rng.normal(size=(2, n_rows, layer_sizes[0])).astype(dtype)
    y, v = rng.normal(size=(2, n_rows, layer_sizes[-1])).astype(dtype)
    direction = rng.normal(size=network.n_params).astype(dtype)
    calls = {"forward": lambda: network.forward(X)}
    for name, (_, _, call) in DERIVATIVES.items():
        calls[name] = lambda call=call: call(network, X, y, v, u, direction)
    shortest = dict.fromkeys(calls, np.inf)
    end = time.perf_counter() + seconds
    turns = 0
    while turns < 3 or time.perf_counter() < end:
        turns += 1
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            shortest[name] = min(shortest[name], time.perf_counter() - begin)
    return {
        "layers": "-".join(map(str, layer_sizes)),
        "dtype": dtype,
        "n_threads": n_threads,
        "n_rows": n_rows,
        "forward_ms": 1e3 * shortest["forward"],
        "passes": {name: shortest[name] / shortest["forward"] for name in DERIVATIVES},
        "passes_by_operations": {
            name: passes_by_operations(layer_sizes, first, other) for name, (first, other, _) in DERIVATIVES.items()
        },
    }


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of every call (default 1)")
    parser.add_argument("--quick", action="store_true", help="few rows, few repeats: a first look")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    n_rows, seconds = (64, 0.0) if options.quick else (ROWS, 2.0)
    print(f"forward passes on {n_rows:,} rows, {options.threads} thread(s); in brackets, by operations")
    print(f"{'layers':24} {'dtype':8} {'forward':>10}  " + " ".join(f"{name:>18}" for name in DERIVATIVES))
    found = []
    for dtype in ("float32", "float64"):
        for layer_sizes in NETS:
            row = measure(layer_sizes, dtype, options.threads, n_rows, seconds)
            found.append(row)
            cells = (f"{row['passes'][name]:10.2f} ({row['passes_by_operations'][name]:.2f})" for name in DERIVATIVES)
            print(f"{row['layers']:24} {dtype:8} {row['forward_ms']:7.2f} ms  " + " ".join(f"{c:>18}" for c in cells))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
