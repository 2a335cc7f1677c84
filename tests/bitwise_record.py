"""Models, losses, predictions and derivatives bit for bit, as hashes; `test_bitwise_record.py`.

    python tests/bitwise_record.py             compare every instruction set with the record, bitwise_record.json
    python tests/bitwise_record.py --record    write the record anew
    python tests/bitwise_record.py --print     the hashes of the instruction set in use, as JSON

A change that is meant to leave every result as it is must leave the record as it is. A change of the order in which
numbers are summed changes the record: say why, and record anew.

Each of `bitwise_cases` is computed with one thread and with two, which must agree. In the record a hash of eight digits
stands for each part of a case's results; the hashes of a case stand in one line, in the order of the parts.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import warnings
from pathlib import Path

import numpy as np
import threadpoolctl
from sklearn.exceptions import ConvergenceWarning

import warm_python
from bitwise_cases import table
from fastbp import show_config

RECORD = Path(__file__).with_suffix(".json")


def digest(values):
    """Eight digits that stand for the bytes of arrays, and for their shapes and dtypes."""
    sha = hashlib.sha256()
    for value in values:
        array = np.ascontiguousarray(value)
        sha.update(f"{array.dtype.str} {array.shape} ".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()[:8]


def hashes_of(case, n_threads):
    """The hashes of a case by the name of what they stand for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The score of the held-out rows", RuntimeWarning)
        warnings.filterwarnings("ignore", "Got `batch_size` less than 1", UserWarning)
        return {part: digest(values) for part, values in case.results(n_threads).items()}


def hashes():
    """The hashes of all cases at the instruction set in use.

    Returns
    -------
    dict of str to dict of str to str
        By case and part; where two threads come to another result than one, both hashes are told.
    """
    found = {}
    with threadpoolctl.threadpool_limits(1, user_api="blas"):  # a sum by BLAS depends on its number of threads
        for name, case in table().items():
            one, two = hashes_of(case, 1), hashes_of(case, 2)
            found[name] = {
                part: one[part] if one[part] == two[part] else f"{one[part]} by one thread, {two[part]} by two"
                for part in one
            }
    return found


def hashes_at(level):
    """`hashes` at an instruction set, from a process of its own."""
    process = warm_python.run([__file__, "--print"], cwd=Path(__file__).parents[1], FASTBP_ISA=level)
    if process.returncode:
        raise RuntimeError(f"no hashes at {level}: {process.stderr[-4000:]}")
    return json.loads(process.stdout)


# The record


def circumstances():
    """What the bits depend on, beside the code: the compiler, the processor, and libraries that compute.

    Returns
    -------
    dict of str to str
    """
    config = show_config(mode="dicts")
    blas = {f"{lib['internal_api']} {lib['version']} {lib.get('architecture')}" for lib in blas_libraries()}
    return {
        "architecture": platform.machine(),
        "instruction sets": " ".join(config["instruction_set"]["supported"]),
        "compiler": config["build"]["compiler"],
        "libc": " ".join(platform.libc_ver()),
        **{name: config["packages"][name] for name in ("numpy", "scipy", "scikit-learn")},
        "BLAS": ", ".join(sorted(blas)),
    }


def blas_libraries():
    return [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def obstacle(recorded, found):
    """Say why hashes cannot be compared with the record.

    Parameters
    ----------
    recorded, found : dict
        See `circumstances`.

    Returns
    -------
    str or None
        The reason, for people to read.
    """
    if "san" in os.environ.get("LD_PRELOAD", ""):
        return "a sanitizer is preloaded: its build is compiled in another way"
    for key, was in recorded.items():
        if found[key] != was:
            return f"recorded with {key} {was}, and this is {found[key]}"
    return None


def complaints(recorded, found):
    """The differences from the record.

    Parameters
    ----------
    recorded : dict of str to str
        By case; the hashes of its parts in one line.
    found : dict of str to dict of str to str
        See `hashes`.

    Returns
    -------
    list of str
        A line for each case that differs.
    """
    lines = []
    for name in {**recorded, **found}:
        if name not in recorded:
            lines.append(f"{name}: not in the record")
        elif name not in found:
            lines.append(f"{name}: no longer a case")
        else:
            was = recorded[name].split()
            if len(was) != len(found[name]):
                lines.append(f"{name}: {len(found[name])} hashes, {len(was)} recorded")
                continue
            differ = [
                f"{part} ({now})" if " " in now else part
                for (part, now), before in zip(found[name].items(), was, strict=True)
                if now != before
            ]
            if differ:
                lines.append(f"{name}: {', '.join(differ)}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--record", action="store_true")
    action.add_argument("--print", action="store_true")
    options = parser.parse_args()
    if options.print:
        print(json.dumps(hashes()))
        return 0
    facts = circumstances()
    levels = facts["instruction sets"].split()
    if options.record:
        found = {level: hashes_at(level) for level in levels}
        split = [
            f"{name} at {level}"
            for level in levels
            for name, parts in found[level].items()
            if any(" " in now for now in parts.values())
        ]
        if split:
            print("one thread and two differ:", *split, sep="\n")
            return 1
        lines = {level: {name: " ".join(parts.values()) for name, parts in found[level].items()} for level in levels}
        RECORD.write_text(json.dumps({"recorded_with": facts, "hashes": lines}, indent=1) + "\n", "utf-8")
        return 0
    record = json.loads(RECORD.read_text("utf-8"))
    reason = obstacle(record["recorded_with"], facts)
    if reason:
        print(f"not comparable: {reason}")
        return 1
    failed = 0
    for level in levels:
        lines = complaints(record["hashes"][level], hashes_at(level))
        print(f"{level}: {len(lines)} of {len(record['hashes'][level])} cases differ", *lines, sep="\n  ")
        failed += len(lines)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
