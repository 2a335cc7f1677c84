"""Where it is timed: the facts about the machine, and its peak."""

import platform
import subprocess
from pathlib import Path

import joblib


def usable_cores():
    """Cores that this process may use: affinity and container limits count.

    Returns
    -------
    int
    """
    return joblib.cpu_count()


def cpu_model():
    """Return the processor's name as the operating system gives it.

    Returns
    -------
    str
    """
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def machine_facts(peers):
    """Collect what a reader needs to judge the figures.

    Parameters
    ----------
    peers : iterable of peers.Peer
        The installed contenders, whose versions are listed.

    Returns
    -------
    dict
        With the keys cpu, n_cores, system, python and versions.
    """
    return {
        "cpu": cpu_model(),
        "n_cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {peer.title: peer.version for peer in peers},
    }


def measure_fma_peak(dtype, n_threads, seconds=0.2, repeats=3):
    """Measure the best rate of fused multiply-adds, in registers only.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The arithmetic.
    n_threads : int
        How many cores work at once.
    seconds : float, default=0.2
        Length of one measurement.
    repeats : int, default=3
        Measurements; the highest counts, as a peak is a bound.

    Returns
    -------
    float
        FLOP/s, two operations to each multiply-add and element.

    Raises
    ------
    ImportError
        When fastbp, which has the loop, is not installed.
    """
    from fastbp.kernels import fma_peak

    return max(fma_peak(dtype, seconds=seconds, n_threads=n_threads) for _ in range(repeats))
