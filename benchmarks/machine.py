"""The machine: its processor, its peak rate and its memory bandwidth."""

import os
import platform
import subprocess
import threading
import time
from pathlib import Path

import joblib
import numpy as np

# Environment variables that make a library use fewer instructions than the processor has.
HANDICAPS = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
)
# Of arrays whose reading and writing is timed: they fit into the first-level caches, or into none
MEMORY_SIZES = tuple(2**k for k in range(14, 29))


def remove_handicaps():
    """Remove the `HANDICAPS` from the environment of this process and its child processes, before the libraries are
    loaded.

    Returns
    -------
    dict of str to str
        The variables that were removed, with their values.
    """
    return {name: os.environ.pop(name) for name in HANDICAPS if name in os.environ}


def usable_cores():
    """Cores that this process may use, within its affinity and the limits of a container.

    Returns
    -------
    int
    """
    return joblib.cpu_count()


def read_memory(field):
    """A field of ``/proc/self/status``, in bytes: VmRSS is the memory in use, VmHWM its peak since the
    process was started; `ru_maxrss` would count what the process had used that started this one."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise KeyError(field)


def cpuinfo():
    """The first processor's fields of Linux's ``/proc/cpuinfo``.

    Returns
    -------
    dict of str to str
        Empty on other systems.
    """
    path = Path("/proc/cpuinfo")
    first = path.read_text().partition("\n\n")[0] if path.exists() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu_model():
    """Return the processor's name as the operating system gives it.

    Returns
    -------
    str
    """
    if "model name" in cpuinfo():
        return cpuinfo()["model name"]
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def machine_facts(peers):
    """Collect the facts about the machine that a reader of the results needs.

    Parameters
    ----------
    peers : iterable of peers.Peer
        The installed contenders, whose versions are listed.

    Returns
    -------
    dict
        With the keys cpu, vendor, family and model (of the processor, None where the system does not say), n_cores,
        isa (the instruction set that fastbp chose, None without fastbp), system, python and versions.
    """
    try:
        from fastbp.kernels import ISA
    except ImportError:
        ISA = None
    return {
        "cpu": cpu_model(),
        "vendor": cpuinfo().get("vendor_id"),
        "family": cpuinfo().get("cpu family"),
        "model": cpuinfo().get("model"),
        "n_cores": usable_cores(),
        "isa": ISA,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {peer.title: peer.version for peer in peers},
    }


def measure_fma_peak(dtype, n_threads, seconds=0.2, repeats=3):
    """Measure the best rate of fused multiply-adds, in registers only.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    n_threads : int
        How many cores work at once.
    seconds : float, default=0.2
        Length of one measurement.
    repeats : int, default=3
        Measurements. The highest is returned, because the peak is an upper bound.

    Returns
    -------
    float
        FLOP/s; a multiply-add of one element counts as two operations.

    Raises
    ------
    ImportError
        If fastbp is not installed: the loop is a part of it.
    """
    from fastbp.kernels import fma_peak

    return max(fma_peak(dtype, seconds=seconds, n_threads=n_threads) for _ in range(repeats))


def measure_copy_bandwidth(n_threads, megabytes=256, repeats=5):
    """Measure how fast arrays far larger than the caches are copied.

    Parameters
    ----------
    n_threads : int
        How many cores work at once, each on its own array.
    megabytes : int, default=256
        Size of the arrays together, and of the copies.
    repeats : int, default=5
        Measurements. The highest is returned.

    Returns
    -------
    float
        Bytes/s, read and written.
    """
    n = megabytes * 2**20 // n_threads
    pairs = [(np.ones(n, np.uint8), np.zeros(n, np.uint8)) for _ in range(n_threads)]
    rates = []
    for _ in range(repeats):
        threads = [threading.Thread(target=np.copyto, args=(target, source)) for source, target in pairs]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rates.append(2 * n * n_threads / (time.perf_counter() - start))
    return max(rates)


def measure_memory_rates(n_threads, sizes=MEMORY_SIZES, seconds=0.04):
    """Measure how fast arrays are read and written in place, by their size: small ones stay in the caches.

    Parameters
    ----------
    n_threads : int
        How many cores work at once, each on its own array.
    sizes : sequence of int, default=16 KB, 32 KB, ... 256 MB
        Bytes of the arrays together.
    seconds : float, default=0.04
        Length of a measurement.

    Returns
    -------
    dict of int to float
        Size -> bytes/s, read and written.

    Raises
    ------
    ImportError
        If fastbp is not installed: the loop is a part of it.
    """
    from fastbp.kernels.probes import memory_rate

    return {size: memory_rate(size, seconds, n_threads) for size in sizes}
