"""Time the three matrix products of backpropagation in fastbp and in SciPy's BLAS, with one thread.

    python benchmarks/gemm.py                       the whole table
    python benchmarks/gemm.py --json gemm.json
    python benchmarks/gemm.py --quick

For a layer of k inputs and m outputs and a batch of n rows::

    forward    Z  (n, m) = X (n, k) W (k, m)
    backward   dX (n, k) = delta (n, m) W^T
               dW (k, m) = X^T delta

each 2·n·m·k operations. fastbp is called through its table of kernels and BLAS through `scipy.linalg.cython_blas`, both
in compiled loops, so that the times contain no calls from Python. The loops are in `gemm_loops.pyx`, which is compiled
for each run; this needs Cython and a C compiler. dX is timed without the transposition of W, because in training the
update of W also writes W^T. BLAS reads W transposed. The two take turns, and medians are printed.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy
from threadpoolctl import threadpool_info, threadpool_limits

from machine import machine_facts, measure_fma_peak, remove_handicaps
from peers import PEERS
from report import significant
from workloads import BOTH

PRODUCTS = ("Z", "dX", "dW")
# (n, k, m)
SIZES = (
    *((size, size, size) for size in (8, 16, 32, 64, 128, 512, 2048)),
    (200, 784, 100),
    (200, 100, 10),
)
REPEATS, QUICK_REPEATS = 9, 3
SECONDS, QUICK_SECONDS = 0.02, 0.002
QUICK_SIDE = 512


def compile_loops():
    """Compile `gemm_loops.pyx` in a temporary directory, and import it.

    Returns
    -------
    module
    """
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    import fastbp.kernels

    source = Path(__file__).with_name("gemm_loops.pyx")
    headers = Path(fastbp.kernels.get_include())
    with tempfile.TemporaryDirectory() as directory:
        extension = Extension("gemm_loops", [str(source)], include_dirs=[str(headers)])
        modules = cythonize(
            [extension],
            include_path=[str(headers.parents[1])],
            build_dir=f"{directory}/c",
            compiler_directives={"show_performance_hints": False},
            force=True,
            quiet=True,
        )
        command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
        command.build_lib = command.build_temp = directory
        command.ensure_finalized()
        command.run()
        spec = importlib.util.spec_from_file_location("gemm_loops", command.get_ext_fullpath("gemm_loops"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def make_matrices(n, k, m, dtype):
    """Draw the operands.

    Parameters
    ----------
    n, k, m : int
        Rows of the batch, inputs and outputs of the layer.
    dtype : {"float32", "float64"}

    Returns
    -------
    X, W, W_transposed, delta : ndarray
        Of shapes (n, k), (k, m), (m, k), (n, m).
    """
    rng = np.random.default_rng(0)
    X, W, delta = (rng.standard_normal(shape, dtype) for shape in ((n, k), (k, m), (n, m)))
    return X, W, np.ascontiguousarray(W.T), delta


def check(product, matrices, out):
    """Compare a result with NumPy's.

    Raises
    ------
    AssertionError
        If they differ by more than rounding errors.
    """
    X, W, W_transposed, delta = matrices
    expected = {"Z": (X, W), "dX": (delta, W_transposed), "dW": (X.T, delta)}[product]
    # A sum of p products of normal numbers is about √p. Each of its p roundings has a relative error of ε; these are
    # random and add up to about √p · √p · ε = p·ε.
    tolerance = 10 * np.finfo(out.dtype).eps * expected[0].shape[1]
    np.testing.assert_allclose(out, expected[0] @ expected[1], rtol=0, atol=tolerance)


def time_product(loops, product, matrices, seconds, repeats):
    """Time one product by fastbp and by BLAS in turn.

    Parameters
    ----------
    loops : module
        See `compile_loops`.
    product : {"Z", "dX", "dW"}
    matrices : tuple of ndarray
        See `make_matrices`.
    seconds : float
        Length of one measurement.
    repeats : int
        Measurements of each.

    Returns
    -------
    dict of str to float
        Median seconds of one product, by "fastbp" and "blas".
    """
    X, W = matrices[:2]
    out = np.empty({"Z": (len(X), W.shape[1]), "dX": X.shape, "dW": W.shape}[product], X.dtype)
    contenders = {"fastbp": loops.fastbp_seconds, "blas": loops.blas_seconds}
    counts = {}
    for name, run in contenders.items():
        out.fill(np.nan)
        run(product, *matrices, out, 1)
        check(product, matrices, out)
        count = 1
        while (spent := run(product, *matrices, out, count)) < seconds:
            count = max(2 * count, min(int(count * seconds / max(spent, 1e-9)), 100 * count))
        counts[name] = count
    samples = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            samples[name].append(run(product, *matrices, out, counts[name]) / counts[name])
    return {name: statistics.median(values) for name, values in samples.items()}


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=(*BOTH, "both"), default="both")
    parser.add_argument("--quick", action="store_true", help=f"short measurements, no side over {QUICK_SIDE}")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if options.quick else (REPEATS, SECONDS)
    sizes = [size for size in SIZES if not options.quick or max(size) <= QUICK_SIDE or min(size) < QUICK_SIDE]

    # SciPy's BLAS is loaded with the compiled loops.
    ignored = remove_handicaps()
    loops = compile_loops()
    facts = {**machine_facts([PEERS["fastbp"]]), "ignored_environment": ignored}
    facts["versions"]["SciPy"] = scipy.__version__
    facts["blas"] = sorted(
        f"{pool['internal_api']} {pool['version']} ({pool.get('architecture', 'unknown')})"
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and Path(pool["filepath"]).parent.name != "numpy.libs"
    )
    peaks, rows = {}, []
    print(f"{facts['cpu']}, one thread, {facts['isa']}; SciPy's BLAS: {', '.join(facts['blas'])}")
    for name, value in ignored.items():
        print(f"{name}={value} is ignored: it would hold BLAS back")
    for dtype in BOTH if options.dtype == "both" else (options.dtype,):
        peaks[dtype] = measure_fma_peak(dtype, 1)
        print(f"\n{dtype}, FMA peak {1e-9 * peaks[dtype]:.0f} GFLOP/s")
        print(f"  {'n':>5}{'k':>6}{'m':>6}  {'':4}{'fastbp GFLOP/s':>15}{'% of peak':>11}{'BLAS':>8}{'ratio':>8}")
        for n, k, m in sizes:
            matrices = make_matrices(n, k, m, dtype)
            for product in PRODUCTS:
                with threadpool_limits(1):
                    times = time_product(loops, product, matrices, seconds, repeats)
                rates = {name: 2 * n * k * m / time for name, time in times.items()}
                row = {
                    "dtype": dtype,
                    "product": product,
                    "n": n,
                    "k": k,
                    "m": m,
                    "fastbp_gflops": 1e-9 * rates["fastbp"],
                    "blas_gflops": 1e-9 * rates["blas"],
                    "times_faster_than_blas": times["blas"] / times["fastbp"],
                    "share_of_peak": rates["fastbp"] / peaks[dtype],
                }
                rows.append(row)
                print(
                    f"  {n:>5}{k:>6}{m:>6}  {product:4}{significant(row['fastbp_gflops']):>15}"
                    f"{significant(100 * row['share_of_peak']):>11}{significant(row['blas_gflops']):>8}"
                    f"{significant(row['times_faster_than_blas']):>8}",
                    flush=True,
                )

    if options.json:
        document = {"machine": facts, "n_threads": 1, "fma_peak_flops": peaks, "results": rows}
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
