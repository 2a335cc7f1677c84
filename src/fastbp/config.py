"""What runs here: the facts that a bug report or a table of timings needs."""

import importlib.metadata
import platform

from fastbp.kernels.dispatch import (
    COMPILED_ISAS,
    CYTHON_VERSION,
    ISA,
    SUPPORTED_ISAS,
    VERSION,
    WANTED_ISA,
    table_facts,
)
from fastbp.threads import available_threads, thread_limits

PACKAGES = ("numpy", "scipy", "scikit-learn", "joblib", "matplotlib")


def show_config(mode: str = "stdout") -> dict | None:
    """Show which kernels run, on how many threads, how they were built, and the versions of what they run beside.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print, or return the same as nested dictionaries.

    Returns
    -------
    dict or None
        With ``mode="dicts"``:

        - fastbp: the version;
        - instruction_set: the one in use and what chose it, those that this processor supports and those that were
          compiled, from the least to the most capable;
        - float32, float64: bits and elements of a vector, and rows and columns of the block of a matrix product that
          stays in registers;
        - threads: how many a call may use, the limits of which that is the least, and the first limit that is as low.
          The parameter `n_threads` of an estimator or a `Network` takes their place;
        - build: compiler and flags of the kernels in use, and the version of Cython;
        - system: platform, processor architecture, Python;
        - packages: versions; None where not installed.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.show_config()
    fastbp: ...
    instruction_set:
      in_use: ...
      chosen_by: ...
      supported: baseline...
      compiled: baseline...
    ...
    >>> fastbp.show_config(mode="dicts")["float64"]["vector_bits"] in (128, 256, 512)
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f'mode must be "stdout" or "dicts", got {mode!r}')
    config = collect()
    if mode == "dicts":
        return config
    print("\n".join(lines(config)))
    return None


def collect():
    """The facts, as `show_config` returns them."""
    limits = thread_limits()
    built = table_facts("float32")
    return {
        "fastbp": VERSION,
        "instruction_set": {
            "in_use": ISA,
            "chosen_by": "FASTBP_ISA" if WANTED_ISA else "default: the most capable that is supported",
            "supported": list(SUPPORTED_ISAS),
            "compiled": list(COMPILED_ISAS),
        },
        "float32": vector_facts("float32"),
        "float64": vector_facts("float64"),
        "threads": {
            "available": available_threads(),
            "limited_by": min(limits, key=limits.get),
            "limits": limits,
        },
        "build": {"compiler": built["compiler"], "flags": built["flags"], "cython": CYTHON_VERSION},
        "system": {
            "platform": platform.platform(),
            "architecture": platform.machine(),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
        },
        "packages": {name: version_of(name) for name in PACKAGES},
    }


def vector_facts(dtype):
    """The size of a vector and of the register block for one dtype."""
    facts = table_facts(dtype)
    elements = 8 * facts["vector_bytes"] // int(dtype.removeprefix("float"))
    return {
        "vector_bits": 8 * facts["vector_bytes"],
        "vector_elements": elements,
        "block_rows": facts["block_rows"],
        "block_columns": facts["block_vectors"] * elements,
    }


def version_of(package):
    """The installed version, or None; nothing is imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def lines(facts, indent=""):
    """Nested dictionaries as lines of text."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}: {', '.join(map(str, value))}"
        else:
            yield f"{indent}{key}: {'not installed' if value is None else value}"
