"""Who is timed: fastbp and its peers, one module for each way of training.

A peer's module has one function for each job of `workloads.Workload` that it can do, for example
``train(workload, dtype)``. The function makes the data ready and returns ``run(count)``, which
does the unit of work (an epoch) `count` times from a fresh start and returns when it is done.
The module is imported in the process that is timed, never in the one that prints.
"""

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A contender and where to find it.

    Parameters
    ----------
    name : str
        Its name on the command line and in the JSON file.
    title : str
        Its name in the tables.
    package, distribution : str
        What is imported, and what the package index calls it.
    module : str
        The module of this package that trains with it.
    chooses_threads : bool, default=False
        Whether it decides itself how many threads a job deserves; else it is tried
        with one thread and with all cores, and the better one counts.
    """

    name: str
    title: str
    package: str
    distribution: str
    module: str
    chooses_threads: bool = False

    @property
    def is_installed(self):
        """Whether the package can be found; nothing is imported."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def version(self):
        """The installed version, "unknown" for a package without metadata."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

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

        Raises
        ------
        NotImplementedError
            When the peer does not offer the workload's job.
        """
        module = importlib.import_module(f"{__name__}.{self.module}")
        job = getattr(module, workload.job, None)
        if job is None:
            raise NotImplementedError(f"{self.title} has no {workload.job!r} job")
        return job(self.package, workload, dtype)

    def thread_counts(self, n_cores):
        """List the numbers of threads to try it with; None leaves the choice to the peer."""
        return [None] if self.chooses_threads else sorted({1, n_cores})


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastbp", "fastbp", "fastbp", "fastbp", "estimators", chooses_threads=True),
        Peer("sklearn", "scikit-learn", "sklearn", "scikit-learn", "estimators"),
        Peer("torch", "PyTorch", "torch", "torch", "torch_loop"),
        Peer("jax", "JAX", "jax", "jax", "jax_scan"),
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
