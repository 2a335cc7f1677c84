"""Every instruction set that this processor supports computes the same, up to rounding.

The level in use runs in this process with the rest of the suite; the others, in processes of their own, run the tests
of the kernels and a small workload whose numbers are compared here.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import warm_python
from fastbp.kernels import ISA, SUPPORTED_ISAS

TESTS = Path(__file__).parent
OTHER_ISAS = [isa for isa in SUPPORTED_ISAS if isa != ISA]

WORKLOAD = """
import sys
import warnings
import numpy as np
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.kernels import ACTIVATIONS, ISA, activation_backward, activation_backward_tangent, activation_forward

warnings.simplefilter("ignore")  # ten epochs do not converge
results = {"isa": np.array(ISA)}
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    Z, dA = rng.uniform(-8, 8, (2, 11, 13)).astype(dtype)
    for name in ACTIVATIONS:
        A = activation_forward(Z, name)
        results[f"{name} forward {dtype}"] = A
        results[f"{name} backward {dtype}"] = activation_backward(dA, A, name, Z=Z)
        results[f"{name} tangent of backward {dtype}"] = activation_backward_tangent(dA, dA, Z, Z, name)
    X = rng.normal(size=(211, 9)).astype(dtype)
    labels = (X[:, 0] * X[:, 1] > 0) + (X[:, 2] > 0)
    params = dict(hidden_layer_sizes=(17, 6), batch_size=32, max_iter=10, random_state=0)
    network = Network([9, 17, 6, 3], "gelu", "softmax", "squared_error", dtype=dtype, random_state=0)
    targets, direction = rng.normal(size=(211, 3)).astype(dtype), rng.normal(size=network.n_params).astype(dtype)
    results[f"jacobian {dtype}"] = network.jacobian(X)
    results[f"hvp {dtype}"] = network.hvp(X, targets, direction)
    for model, y in (
        (MLPClassifier(activation="gelu", **params), labels),
        (MLPRegressor(activation="tanh", solver="sgd", learning_rate_init=0.01, **params), X[:, 0] * X[:, 1]),
    ):
        model.fit(X, y)
        name = type(model).__name__
        results[f"{name} weights {dtype}"] = np.concatenate([w.ravel() for w in model.coefs_ + model.intercepts_])
        results[f"{name} loss_curve {dtype}"] = np.array(model.loss_curve_)
        output = model.predict_proba(X) if name == "MLPClassifier" else model.predict(X)
        results[f"{name} output {dtype}"] = output
np.savez(sys.argv[1], **results)
"""


RUN_PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
#: Files of `kernels` that call no kernel of an instruction set; the first chooses instruction sets itself
NOT_AGAIN = ("test_dispatch.py", "test_pool.py", "test_team.py", "test_team_tuner.py", "test_workers.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The workload's arrays, computed once for each instruction set."""
    directory, cache = tmp_path_factory.mktemp("isa"), {}

    def of(isa):
        if isa not in cache:
            path = directory / f"{isa}.npz"
            process = warm_python.run(["-c", WORKLOAD, path], FASTBP_ISA=isa)
            assert process.returncode == 0, process.stderr
            with np.load(path) as arrays:
                cache[isa] = dict(arrays)
            assert cache[isa].pop("isa") == isa
        return cache[isa]

    return of


@pytest.mark.fault(27)
@pytest.mark.parametrize("isa", OTHER_ISAS)
def test_results_differ_by_rounding_only(isa, results):
    ours, theirs = results(ISA), results(isa)
    assert list(ours) == list(theirs)
    for name, expected in ours.items():
        assert theirs[name].dtype == expected.dtype
        eps = np.finfo(np.float32 if name.endswith("float32") else np.float64).eps
        # Kernels: the vector functions err by 3 ulp at most, the tail of gelu by z^2 = 64 ulp. Training: 70 steps
        # whose roundings the gradients carry on from step to step; Adam's division by sqrt(v) magnifies them.
        factor = 200 if "ward" in name else 2e4
        # the tangent multiplies three numbers of up to 8
        scale = max(1.0, np.abs(expected).max()) if "exp" in name or "tangent" in name else 1.0
        assert_allclose(theirs[name], expected, rtol=factor * eps, atol=factor * eps * scale, err_msg=name)


@pytest.fixture(scope="module")
def kernel_tests():
    """The processes that run the tests of the kernels, all at the same time: as futures."""
    ignored = [f"--ignore={TESTS / 'kernels' / name}" for name in NOT_AGAIN]
    command = ["-c", RUN_PYTEST, TESTS / "kernels", "-q", "-x", "-p", "no:cacheprovider", *ignored]
    with ThreadPoolExecutor(max(1, len(OTHER_ISAS))) as pool:
        yield {
            isa: pool.submit(warm_python.run, command, cwd=TESTS.parent, timeout=900, FASTBP_ISA=isa)
            for isa in OTHER_ISAS
        }


@pytest.mark.parametrize("isa", OTHER_ISAS)
def test_the_kernels_pass_their_tests(isa, kernel_tests):
    process = kernel_tests[isa].result()
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr


def test_the_files_that_are_left_out_exist():
    assert all((TESTS / "kernels" / name).exists() for name in NOT_AGAIN)
