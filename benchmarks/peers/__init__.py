"""fastbp and its peers, in one module for each interface.

A peer's module has one function for each kind of work in `jobs.JOBS` that it can do, for example
``train(package, workload, dtype)``. The function makes the data ready and returns ``run(count)``, which
does the unit of work (an epoch, a call) `count` times from a fresh start and returns when it is done. What
``run`` returns, a dict, is reported beside the time; `time_calls` makes one that times every unit apart.
The module is imported in the process that is timed, never in the one that prints.
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
    """Name the functions of a module of this package; read from its source, as it may not be imported here.

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
    """A contender and where to find it.

    Parameters
    ----------
    name : str
        Its name on the command line and in the JSON file.
    title : str
        Its name in the tables.
    packages : tuple of str
        What is imported, the peer itself first.
    distribution : str
        What the package index calls it.
    module : str
        The module of this package that works with it.
    chooses_threads : bool, default=False
        Whether it decides itself how many threads a job deserves; else it is tried
        with one thread and with all cores, and the better one counts.
    """

    name: str
    title: str
    packages: tuple
    distribution: str
    module: str
    chooses_threads: bool = False

    @property
    def is_installed(self):
        """Whether all its packages can be found; nothing is imported."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)

    @property
    def version(self):
        """The installed version, "unknown" for a package without metadata."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def offers(self, workload):
        """Whether it takes part in a workload: its module has the job, and the workload does not leave it out.

        Parameters
        ----------
        workload : workloads.Workload

        Returns
        -------
        bool
        """
        return workload.job in functions_of(self.module) and (not workload.peers or self.name in workload.peers)

    def prepare(self, workload, dtype):
        """Import the peer and make a workload ready for it.

        Parameters
        ----------
        workload : workloads.Workload
            What to do.
        dtype : {"float32", "float64"}
            The arithmetic.

        Returns
        -------
        callable
            ``run(count)``; see the module's docstring.
        """
        module = importlib.import_module(f"{__name__}.{self.module}")
        return getattr(module, workload.job)(self.packages[0], workload, dtype)

    def thread_counts(self, workload, n_cores, tries_all_cores):
        """List the numbers of threads to try it with.

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
    """Environment variables that hold every peer to a number of threads.

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
    # Apple's Accelerate breaks the pattern; XLA sizes its pool by NPROC, and its products'
    # parallelism is a flag apart.
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
        0, which means all cores to those who take it, where none is set.
    """
    return int(os.environ.get("OMP_NUM_THREADS", 0))


def time_calls(call):
    """Make a run that times every call by itself, so that the median and not the mean of the calls counts.

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
