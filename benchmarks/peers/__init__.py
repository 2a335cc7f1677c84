"""fastbp and its peers, in one module for each interface.

A peer's module has one function for each kind of work in `jobs.JOBS` that it can do, for example
``train(package, workload, dtype)``. The function prepares the data and returns ``run(count)``, which does the unit of
work (an epoch, a call) `count` times; each call of ``run`` starts anew. ``run`` may return a dict of facts, which are
reported besides the time. `time_calls` makes a ``run`` that times every unit by itself. The module is imported only in
the process that is timed.
"""

import ast
import importlib
import importlib.metadata
import importlib.util
import os
import statistics
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@cache
def functions_of(module):
    """The names of the functions in a module of this package. They are read from its source, because the module must
    not be imported in this process.

    Parameters
    ----------
    module : str

    Returns
    -------
    frozenset of str
    """
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@dataclass(frozen=True)
class Peer:
    """A library that takes part in the comparison, and where to find it.

    Parameters
    ----------
    name : str
        Its name on the command line and in the JSON file.
    title : str
        Its name in the tables.
    packages : tuple of str
        The packages to import, the peer itself first.
    distribution : str
        Its name in the package index.
    module : str
        The module of this package that works with it.
    chooses_threads : bool, default=False
        Whether it chooses the number of threads itself. If not, it is timed with one thread and with all cores, and the
        better time counts.
    """

    name: str
    title: str
    packages: tuple
    distribution: str
    module: str
    chooses_threads: bool = False

    @property
    def is_installed(self):
        """Whether all its packages can be found. They are not imported."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)

    @property
    def version(self):
        """The installed version, "unknown" for a package without metadata."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def offers(self, workload):
        """Whether it takes part in a workload: its module has a function for the job, and the workload does not exclude
        it.

        Parameters
        ----------
        workload : workloads.Workload

        Returns
        -------
        bool
        """
        return workload.job in functions_of(self.module) and (not workload.peers or self.name in workload.peers)

    def prepare(self, workload, dtype):
        """Import the peer and prepare a workload for it.

        Parameters
        ----------
        workload : workloads.Workload
            What to do.
        dtype : {"float32", "float64"}
            Type of the arithmetic.

        Returns
        -------
        callable
            ``run(count)``; see the module's docstring.
        """
        module = importlib.import_module(f"{__name__}.{self.module}")
        return getattr(module, workload.job)(self.packages[0], workload, dtype)

    def thread_counts(self, workload, n_cores, tries_all_cores):
        """The numbers of threads to try.

        Parameters
        ----------
        workload : workloads.Workload
        n_cores : int
        tries_all_cores : bool
            False to try one thread only.

        Returns
        -------
        list of int or None
            None leaves the choice to the peer, or to the processes that the job starts.
        """
        if self.chooses_threads or workload.kind.own_processes:
            return [None]
        return sorted({1, n_cores}) if tries_all_cores else [1]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastbp", "fastbp", ("fastbp",), "fastbp", "estimators", chooses_threads=True),
        Peer("sklearn", "scikit-learn", ("sklearn",), "scikit-learn", "estimators"),
        Peer("torch", "PyTorch", ("torch",), "torch", "torch_loop"),
        Peer("jax", "JAX", ("jax",), "jax", "jax_scan"),
        # onnx builds the graph that onnxruntime runs
        Peer("onnxruntime", "ONNX Runtime", ("onnxruntime", "onnx"), "onnxruntime", "onnx_graph"),
    )
}


def thread_environment(n_threads):
    """Environment variables that limit every peer to a number of threads.

    They must be set before the peer is imported.

    Parameters
    ----------
    n_threads : int or None
        None sets nothing.

    Returns
    -------
    dict of str to str
    """
    if n_threads is None:
        return {}
    names = ("OMP", "OPENBLAS", "MKL", "VECLIB", "BLIS")
    environment = {f"{name}_NUM_THREADS": str(n_threads) for name in names}
    # Apple's Accelerate has another name for it. XLA reads the size of its thread pool from NPROC, and has a separate
    # flag for parallel matrix products.
    environment["VECLIB_MAXIMUM_THREADS"] = environment.pop("VECLIB_NUM_THREADS")
    environment["NPROC"] = str(n_threads)
    parallel = "true" if n_threads > 1 else "false"
    environment["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={parallel}"
    return environment


def given_threads():
    """Read the number of threads from this process's environment, for a peer that wants it as an argument.

    Returns
    -------
    int
        0, which means all cores, if the number is not limited.
    """
    return int(os.environ.get("OMP_NUM_THREADS", 0))


def time_calls(call):
    """Make a ``run`` that times every call by itself, for the median of the calls instead of their mean.

    Parameters
    ----------
    call : callable
        One unit of work, without arguments.

    Returns
    -------
    callable
        ``run(count)``, which returns `seconds`: `count` times the median.
    """

    def run(count):
        clock, seconds = time.perf_counter, []
        for _ in range(count):
            start = clock()
            call()
            seconds.append(clock() - start)
        return {"seconds": count * statistics.median(seconds)}

    return run
