"""Constants and a helper for the tests of the benchmarks."""

import os
import subprocess
import sys
from pathlib import Path

import fastbp

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PEERS = ("fastbp", "sklearn", "torch", "jax", "onnxruntime")
JOBS = ("train", "lbfgs", "fit", "fit_memmap", "grid_search", "predict", "predict_row")
DOCUMENTED = {"4-8-3": "float32", "sparse": "float32", "predict-row": "float64"}
ON_LINUX = Path("/proc/self/status").exists()


def run(*arguments, cwd, **environment):
    """Run Python in a process of its own; its standard output."""
    # the package under test, also where it was named by a path relative to another directory
    search_path = os.pathsep.join([str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": search_path, **environment},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
