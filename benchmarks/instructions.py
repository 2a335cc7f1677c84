"""Count the instructions of one training step and of one predicted row, under valgrind's callgrind.

    python benchmarks/instructions.py              count, and compare with the record
    python benchmarks/instructions.py --record     count, and write the record anew

Unlike a time, a count is the same in every run and on every machine of one architecture. So a change that adds work to
a step is noticed, however busy the machine is. `tests/test_instructions.py` compares the counts with the record,
``instructions.json``. After a change that costs or saves instructions on purpose, write a new record and commit it.

The counts are for float32, one thread, and AVX2, which is the most capable instruction set that valgrind 3.19 emulates.
The work is defined in `counted_work`. The counts depend on the compiler: they are compared only if its name and major
version are those of the record. Most instructions of `predict` are calls between Python and C, so its count is compared
only if the minor version of Python is the same too.
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from workloads import WORKLOADS

HERE = Path(__file__).parent
RECORD = HERE / "instructions.json"
NAMES = ("20-100-2", "64-100-10", "784-100-10")
KINDS = ("step", "predict")
#: A larger rise or fall is an error; both are shares of the recorded count. Runs differ by 0.01 % for a step and 0.2 %
#: for predict (the work of the C library depends on addresses). Another minor release of the compiler also changes the
#: count, and for predict another release of numpy or Cython. A large fall is an error because a new record is needed:
#: the old one would not detect that a part of the gain is lost again.
TOLERANCES = {"step": {"rise": 0.005, "fall": 0.05}, "predict": {"rise": 0.05, "fall": 0.10}}


def isa_to_count():
    """The instruction set whose kernels are counted: the most capable one that valgrind emulates.

    Returns
    -------
    str
    """
    return "avx2" if platform.machine().lower() in ("x86_64", "amd64") else "baseline"


def obstacle():
    """Say why instructions cannot be counted on this machine.

    Returns
    -------
    str or None
        The reason, as text.
    """
    from fastbp.kernels import SUPPORTED_ISAS

    if platform.system() != "Linux":
        return f"instructions are counted on Linux, and this is {platform.system()}"
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if isa_to_count() not in SUPPORTED_ISAS:
        return f"this processor has no {isa_to_count()}"
    if "san" in os.environ.get("LD_PRELOAD", ""):
        return "valgrind cannot run what a sanitizer is preloaded into"
    return None


def circumstances():
    """What the counts depend on, besides the code.

    Returns
    -------
    dict of str to str
        With the keys architecture, isa, compiler and python.
    """
    from fastbp import show_config

    return {
        "architecture": platform.machine(),
        "isa": isa_to_count(),
        "compiler": show_config(mode="dicts")["build"]["compiler"],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def mismatch(kind, recorded, found):
    """Say why two counts cannot be compared.

    Parameters
    ----------
    kind : {"step", "predict"}
        What was counted.
    recorded, found : dict
        See `circumstances`.

    Returns
    -------
    str or None
        The reason, as text.
    """
    keys = {"architecture": 0, "isa": 0, "compiler": 1, "python": 2}  # the numbers of a version that must agree
    if kind == "step":
        del keys["python"]
    for key, parts in keys.items():
        was, now = (shortened(facts[key], parts) for facts in (recorded, found))
        if was != now:
            return f"counts were recorded with {key} {was}, and this is {now}"
    return None


def shortened(text, parts):
    """``name 1.2.3`` with only the first parts of the version; a text without a version is not changed."""
    name, _, version = text.rpartition(" ")
    return f"{name} {'.'.join(version.split('.')[:parts])}" if name else text


def count(names=NAMES):
    """Count the instructions of one repetition of all work.

    Parameters
    ----------
    names : sequence of str, default=NAMES
        Workloads.

    Returns
    -------
    dict of str to dict of str to int
        By workload and kind.

    Raises
    ------
    RuntimeError
        If the work failed under valgrind, or callgrind missed a mark.
    """
    package = Path(importlib.util.find_spec("fastbp").origin).parent
    fixed = {"FASTBP_ISA": isa_to_count(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "counts"
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--dump-before=ctermid", f"--callgrind-out-file={out}"]
        work = [sys.executable, str(HERE / "counted_work.py"), str(package), *names]
        process = subprocess.run([*valgrind, *work], env={**os.environ, **fixed}, capture_output=True, text=True)
        sections = [line.split() for line in process.stdout.splitlines()]
        if process.returncode:
            raise RuntimeError(f"{' '.join(valgrind)} failed ({process.returncode}): {process.stderr[-4000:]}")
        # each mark writes the counts since the mark before; the files with even numbers are those of the sections
        dumps = [Path(f"{out}.{number}") for number in range(1, 2 * len(sections) + 1)]
        if not all(dump.exists() for dump in dumps):
            raise RuntimeError(f"callgrind did not see every call of ctermid, which marks {len(sections)} sections")
        totals = [total(dump) for dump in dumps[1::2]]
    counts = {name: {} for name in names}
    for short, long in zip(range(0, len(sections), 2), range(1, len(sections), 2), strict=True):
        name, kind, repetitions = sections[short]
        more = int(sections[long][2]) - int(repetitions)
        counts[name][kind] = round((totals[long] - totals[short]) / more)
    return counts


def total(dump):
    """The instructions in one of callgrind's files.

    Parameters
    ----------
    dump : Path

    Returns
    -------
    int
    """
    (line,) = [line for line in dump.read_text().splitlines() if line.startswith("totals: ")]
    return int(line.split()[1])


def complaint(name, kind, recorded, found, tolerance):
    """Compare a count with the record.

    Parameters
    ----------
    name, kind : str
        Workload, and what was counted.
    recorded, found : int
        The counts.
    tolerance : dict of str to float
        With the keys rise and fall.

    Returns
    -------
    str or None
        What is wrong and what to do; None if the count is within the tolerance.
    """
    change = found / recorded - 1
    figures = f"{name}, {kind}: {recorded:,} instructions recorded, {found:,} counted ({change:+.1%})"
    again = "python benchmarks/instructions.py --record"
    if change > tolerance["rise"]:
        return f"{figures}. Find what costs them; if they are meant, record anew: {again}"
    if change < -tolerance["fall"]:
        return f"{figures}. Well done; record anew, so that a rise is noticed from here on: {again}"
    return None


def flops(name, kind):
    """Floating-point operations of the matrix products that were counted.

    Parameters
    ----------
    name, kind : str
        Workload, and what was counted.

    Returns
    -------
    int
    """
    workload = WORKLOADS[name]
    if kind == "step":
        return workload.flops_per_step
    return 2 * sum(a * b for a, b in pairwise(workload.trained_layer_sizes))


def format_counts(counts, recorded):
    """Make the table that is printed.

    Parameters
    ----------
    counts : dict
        See `count`.
    recorded : dict
        Those of the record; empty if there is none.

    Returns
    -------
    str
    """
    lines = [f"{'':12}{'':9}{'instructions':>14}{'per FLOP':>10}{'recorded':>14}{'change':>9}"]
    for name, by_kind in counts.items():
        for kind, number in by_kind.items():
            line = f"{name:12}{kind:9}{number:14,}{number / flops(name, kind):10.3f}"
            was = recorded.get(name, {}).get(kind)
            lines.append(line + (f"{was:14,}{number / was - 1:+9.1%}" if was else ""))
    return "\n".join(lines)


def main(arguments=None):
    """Count, print, and compare or record. The exit status is 1 if a count differs from the record, 2 if nothing can be
    counted.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} anew")
    options = parser.parse_args(arguments)
    if reason := obstacle():
        parser.exit(2, f"cannot count: {reason}\n")
    found, counts = circumstances(), count()
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {"counts": {}}
    print(", ".join(f"{key}: {value}" for key, value in found.items()))
    print(format_counts(counts, record["counts"]))
    if options.record:
        document = {"recorded_with": found, "tolerances": TOLERANCES, "counts": counts}
        RECORD.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        return
    complaints = []
    for kind in KINDS:
        if reason := mismatch(kind, record["recorded_with"], found):
            print(f"{kind} is not compared: {reason}")
            continue
        for name in NAMES:
            numbers = record["counts"][name][kind], counts[name][kind]
            complaints.append(complaint(name, kind, *numbers, record["tolerances"][kind]))
    if any(complaints):
        parser.exit(1, "\n".join(filter(None, complaints)) + "\n")


if __name__ == "__main__":
    main()
