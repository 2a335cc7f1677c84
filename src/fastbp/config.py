"""The configuration of the package, for bug reports and tables of timings."""

import importlib.metadata
import platform
from typing import Any

from fastbp.kernels.dispatch import (
    COMPILED_ISAS,
    CYTHON_VERSION,
    ISA,
    MISSING_BFLOAT16,
    SUPPORTED_ISAS,
    VERSION,
    WANTED_ISA,
    table_facts,
)
from fastbp.kernels.quantized import INSTRUCTION
from fastbp.threads import available_threads, thread_limits

PACKAGES = ("numpy", "scipy", "scikit-learn", "joblib", "matplotlib")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the kernels in use, the number of threads, the build, and the versions of related packages.

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
        - float32, float64: bits and elements of a vector, and rows and columns of the register block of the matrix
          product;
        - bfloat16: whether training with ``dtype="bfloat16"`` is available, and if not, the reason;
        - integers: the instruction that multiplies weights of 8 bits, of `fastbp.quantize`;
        - threads: the number of threads that a call may use, the limits of which it is the smallest, and the first
          limit with this value. The parameter `n_threads` of an estimator or a `Network` replaces the limits;
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


def collect() -> dict[str, Any]:
    """The configuration, as `show_config` returns it."""
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
        "bfloat16": {"available": False, "reason": MISSING_BFLOAT16} if MISSING_BFLOAT16 else {"available": True},
        "integers": {"instruction": INSTRUCTION},
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


def vector_facts(dtype: str) -> dict[str, Any]:
    """The size of a vector and of the register block for one dtype."""
    facts = table_facts(dtype)
    elements = 8 * facts["vector_bytes"] // int(dtype.removeprefix("float"))
    return {
        "vector_bits": 8 * facts["vector_bytes"],
        "vector_elements": elements,
        "block_rows": facts["block_rows"],
        "block_columns": facts["block_vectors"] * elements,
    }


def version_of(package: str) -> str | None:
    """The installed version, or None; the package is not imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def lines(facts: dict[str, Any], indent: str = "") -> Any:
    """Nested dictionaries as lines of text."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}: {', '.join(map(str, value))}"
        else:
            yield f"{indent}{key}: {'not installed' if value is None else value}"
