"""Tests under the sanitizers of the compiler: ``python tests/sanitizers.py [address] [thread]``, by default both.

address
    AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer: accesses out of bounds and after ``free``, integer
    overflow, misaligned accesses; memory that compiled code of the package has allocated and not freed.
thread
    ThreadSanitizer: data races.

The tree is copied to a temporary folder and built there; the modules beside the sources stay as they are. The tests run
in one process after the other. What a sanitizer reports there, or in a process that a test starts, goes to files, which
are read at the end. The exit code is 0 if all tests have passed and no report names code of the package.

NumPy, SciPy and the interpreter are not built with a sanitizer. Reports without a line of this package's code are
counted and not shown, so no suppressions are needed: what Python itself never frees would be reported as a leak.
pyarrow, which scikit-learn and pandas import where it is installed, is left out.

``--quick`` takes a small choice of tests, for CI. Other arguments are given to pytest; paths of tests replace the
choice::

    python tests/sanitizers.py address --folder asan tests/kernels/test_step.py -k textbook

Linux with GCC or Clang. RELIABILITY.md says how long it takes.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("src", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
#: What names code of the package in a report
OURS = "fastbp/kernels"
#: Packages that cannot be imported in the tests, with the reason
BLOCKED = {"pyarrow": "it starts threads, whose races are reported in the processes that tests fork"}
#: Seconds after which a run hangs
LONG = 3 * 3600


@dataclass(frozen=True)
class Sanitizer:
    """How to build for a sanitizer, and how to run tests under it.

    Attributes
    ----------
    flags : str
        Of the compiler and the linker.
    runtimes : tuple of str
        Libraries to load before all others, because the interpreter is not linked with them.
    options : dict of str to str
        Environment variables.
    quick, more : tuple of str
        The tests of ``--quick``, and those that come in addition without it.
    left_out : dict of str to str
        Tests that cannot run under this sanitizer, and why.
    """

    flags: str
    runtimes: tuple
    options: dict
    quick: tuple
    more: tuple
    left_out: dict


#: Under both: the sanitizers map terabytes of address space for their own tables
ADDRESS_SPACE = "limits the address space, in which the sanitizer has its tables"
LIMITED = {
    "tests/test_network_pickle.py::test_single_bytes_changed": ADDRESS_SPACE,
    "tests/test_faults/test_threads_that_fail.py::test_threads_close_to_the_limit_of_memory": ADDRESS_SPACE,
    "tests/test_faults/test_numbers_too_large.py": ADDRESS_SPACE,
    "tests/test_faults/test_out_of_memory.py": ADDRESS_SPACE,
    "tests/test_faults/test_threads_that_fail.py::test_no_more_threads_for_this_user": "runs as another user",
    "tests/test_concurrency.py::test_memory_is_given_back": "the sanitizer keeps freed memory for a while",
}
SANITIZERS = {
    "address": Sanitizer(
        # the runtime of UndefinedBehaviorSanitizer writes to stderr only, which tests capture: so it ends the process
        flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined",
        runtimes=("libasan.so", "libubsan.so"),
        options={
            # A size that cannot be allocated is what some tests are about. A leak is no error of the process that
            # leaks, which may be another program that a test starts; leaks are sorted out below. As `exitcode` counts
            # for all errors, the others abort.
            "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1:abort_on_error=1",
            "LSAN_OPTIONS": "exitcode=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
            # Python's own allocator puts small objects beside each other, where an access out of bounds is not seen
            "PYTHONMALLOC": "malloc",
        },
        quick=(
            "tests/kernels/test_kinds.py",
            "tests/kernels/test_losses.py",
            "tests/kernels/test_optimizers.py",
            "tests/kernels/test_linearization.py",
            "tests/kernels/test_predictor.py",
            "tests/test_faults/test_sparse_indices.py",
        ),
        more=("tests/kernels", "tests/test_faults", "tests/test_network_layers.py", "tests/test_layers.py",
              "tests/test_network_pickle.py", "tests/test_concurrency.py", "tests/test_fit_many.py"),
        left_out=LIMITED,
    ),
    "thread": Sanitizer(
        flags="-fsanitize=thread",
        runtimes=("libtsan.so",),
        options={
            # Tests fork while threads run. A race is no error of the process: the reports are read below.
            "TSAN_OPTIONS": "die_after_fork=0:exitcode=0:history_size=4",
        },
        quick=(
            "tests/kernels/test_team.py",
            "tests/kernels/test_pool.py",
            "tests/kernels/test_workers.py",
            "tests/kernels/test_predictor.py",
            "tests/test_concurrency.py",
        ),
        more=("tests/kernels/test_step.py", "tests/kernels/test_dropout.py", "tests/kernels/test_batch_norm.py",
              "tests/kernels/test_mixup.py", "tests/kernels/test_linearization.py", "tests/test_fit_many.py",
              "tests/test_threads.py", "tests/test_faults/test_fork.py", "tests/test_faults/test_interrupts.py",
              "tests/test_faults/test_limits.py", "tests/test_faults/test_publication.py",
              "tests/test_faults/test_sparse_indices.py", "tests/test_faults/test_threads_that_fail.py"),
        left_out=LIMITED,
    ),
}  # fmt: skip
#: OpenBLAS's threads spin at barriers that ThreadSanitizer cannot see, and compute nothing here that counts.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


def compiler():
    """The command of the C compiler, without a compiler cache."""
    words = [word for word in shlex.split(os.environ.get("CC", "gcc")) if Path(word).name != "ccache"]
    return words or ["gcc"]


def runtimes(sanitizer):
    """The paths of the runtime libraries; None for one that the compiler does not have."""
    found = []
    for name in sanitizer.runtimes:
        command = [*compiler(), f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        found.append(path if os.path.isabs(path) else None)
    return found


def obstacle(sanitizer):
    """Why tests cannot run under a sanitizer here; None if they can."""
    if sys.platform != "linux":
        return "needs Linux"
    if shutil.which(compiler()[0]) is None:
        return f"there is no compiler {compiler()[0]}"
    missing = [name for name, path in zip(sanitizer.runtimes, runtimes(sanitizer), strict=True) if path is None]
    if missing:
        return f"{compiler()[0]} has no {' and no '.join(missing)}"
    return None


def environment(sanitizer, folder):
    """The environment of the tests, in a tree that was built in a folder."""
    options = {name: value for name, value in sanitizer.options.items()}
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
        if name in options:
            options[name] += f":log_path={folder / 'report'}"
    return {
        **os.environ,
        **ENVIRONMENT,
        **options,
        "LD_PRELOAD": " ".join(runtimes(sanitizer)),
        "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder / "blocked")]),
    }


def build(sanitizer, folder):
    """Copy the tree to a folder, and build it there."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)
    block(folder / "blocked")
    # Behind the flags of setup.py. -O1: with more, a stack no longer names the functions that were inlined into others,
    # and compiling takes twice as long.
    script = folder / "cc"
    words = shlex.join((["ccache"] if shutil.which("ccache") else []) + compiler())
    script.write_text(f'#!/bin/sh\nexec {words} "$@" -O1 -g1 -fno-omit-frame-pointer {sanitizer.flags}\n')
    script.chmod(0o755)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, env={**os.environ, "CC": str(script)}, check=True, timeout=LONG)


def block(folder):
    """Make modules in a folder that take the place of the `BLOCKED` packages, as if these were not installed."""
    folder.mkdir(exist_ok=True)
    for name, reason in BLOCKED.items():
        text = f"the sanitizers run without {name}: {reason}"
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError({text!r}, name={name!r})\n")


def pytest_command(sanitizer, quick, arguments):
    """The command that runs the tests."""
    tests = (
        [] if any("tests/" in word for word in arguments) else [*sanitizer.quick, *([] if quick else sanitizer.more)]
    )
    left_out = [word for name in sanitizer.left_out for word in ("--deselect", name)]
    # stderr is not captured, where the process may end with a report
    options = ["-q", "-p", "no:cacheprovider", "--capture=sys"]
    return [sys.executable, "-m", "pytest", *options, *tests, *left_out, *arguments]


def reports(folder):
    """The reports in the files of a folder: those that name code of the package, and the number of the others."""
    ours, n_others = [], 0
    for path in sorted(folder.glob("report.*")):
        for report in split_reports(path.read_text(errors="replace")):
            if OURS in report:
                ours.append(f"{path.name}\n{report}")
            else:
                n_others += 1
    return ours, n_others


def split_reports(text):
    """The single reports in what a sanitizer has written; a leak is one report."""
    parts = re.split(
        r"\n(?=={18}\nWARNING: |=+\d+=+ *ERROR: |\S+: runtime error: |(?:Direct|Indirect) leak of )", "\n" + text
    )
    is_report = re.compile(r"WARNING: ThreadSanitizer|ERROR: AddressSanitizer|runtime error: | leak of ")
    return [part for part in parts if is_report.search(part)]


def run(name, folder, quick, arguments):
    """Build and test under one sanitizer. Whether it is clean."""
    sanitizer, begin = SANITIZERS[name], time.monotonic()
    build(sanitizer, folder)
    built = time.monotonic()
    for path in folder.glob("report.*"):
        path.unlink()
    command = pytest_command(sanitizer, quick, arguments)
    with open(folder / "report.stderr", "w") as stderr:
        code = subprocess.run(
            command, cwd=folder, env=environment(sanitizer, folder), stderr=stderr, check=False, timeout=LONG
        ).returncode
    ours, n_others = reports(folder)
    for report in ours:
        print(report)
    print(
        f"{name}: tests {'passed' if code == 0 else f'failed with exit code {code}'}; {len(ours)} reports, and "
        f"{n_others} without code of the package; built in {built - begin:.0f} s, tested in "
        f"{time.monotonic() - built:.0f} s",
        flush=True,
    )
    return code == 0 and not ours


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="address|thread", help="default: both")
    parser.add_argument("--quick", action="store_true", help="a small choice of tests")
    parser.add_argument("--folder", type=Path, help="keep the build there, below the name of the sanitizer")
    parser.add_argument("--if-available", action="store_true", help="leave out what this machine does not have")
    options, arguments = parser.parse_known_args(words)
    names = [name for name in options.names if name in SANITIZERS]
    arguments = [name for name in options.names if name not in SANITIZERS] + arguments
    clean = True
    for name in names or SANITIZERS:
        reason = obstacle(SANITIZERS[name])
        if reason is not None:
            print(f"{name}: left out: {reason}", flush=True)
            clean = clean and options.if_available
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.folder is None else options.folder.resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            clean = run(name, folder, options.quick, arguments) and clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
