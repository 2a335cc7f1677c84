"""The modules of the benchmarks, imported by name."""

import importlib
import sys

import pytest

from benchmark_cases import BENCHMARKS


@pytest.fixture(scope="module")
def benchmarks():
    """Imports a module of the benchmark by name; afterwards its names are free again for others."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture(scope="module")
def workloads(benchmarks):
    return benchmarks("workloads")
