"""The script that runs tests under the sanitizers: its commands, and what it reads from their reports."""

import subprocess
import sys
from pathlib import Path

import pytest

import sanitizers

RACE = """==================
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x7b by thread T1:
    #0 work {source}:150 (team.so+0x1)
==================
"""
LEAK = """
=================================================================
==7==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 64 byte(s) in 1 object(s) allocated from:
    #0 0x7f in __interceptor_malloc
    #1 0x7f in new_thread Python/thread.c:1

Direct leak of 32 byte(s) in 1 object(s) allocated from:
    #0 0x7f in __interceptor_malloc
    #1 0x7f in run_rows build/cython/src/fastbp/kernels/predictor.c:6880

SUMMARY: AddressSanitizer: 96 byte(s) leaked in 2 allocation(s).
"""
UNDEFINED = """src/fastbp/kernels/gemm.h:12:3: runtime error: signed integer overflow
    #0 0x7f in multiply src/fastbp/kernels/gemm.h:12
src/fastbp/kernels/gemm.h:13:3: runtime error: division by zero
    #0 0x7f in multiply src/fastbp/kernels/gemm.h:13
"""
OVERFLOW = """=================================================================
==9==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x60
READ of size 8 at 0x60 thread T0
    #0 0x7f in block src/fastbp/kernels/gemm.h:53
"""

# reads behind the end of a block, in a function of the C library; adds to the largest integer; loses a block
PROBE = """
#include <stdlib.h>
#include <string.h>
int main(int n, char **words) {
    char *volatile block = malloc(4), *volatile copy = malloc(5);
    volatile int sum = n;
    if (words[1][0] == 'a')
        memcpy(copy, block, 4 + n / 2);
    else if (words[1][0] == 's')
        sum = n + 2147483646;
    else
        copy = NULL;
    return 0;
}
"""


def test_reports_are_counted_by_whose_code_they_name(tmp_path):
    (tmp_path / "report.1").write_text(RACE.format(source="src/fastbp/kernels/threads.h") * 2)
    (tmp_path / "report.2").write_text(RACE.format(source="numpy/core.c"))
    (tmp_path / "report.7").write_text(LEAK)
    (tmp_path / "report.8").write_text(UNDEFINED)
    (tmp_path / "report.9").write_text(OVERFLOW)
    ours, n_others = sanitizers.reports(tmp_path)
    assert [report.split("\n", 1)[0] for report in ours] == ["report.1", "report.1", "report.7"] + ["report.8"] * 2 + [
        "report.9"
    ]
    assert "run_rows" in ours[2]
    assert n_others == 2  # of NumPy, and of Python
    assert sanitizers.reports(tmp_path / "none") == ([], 0)


@pytest.mark.parametrize("name", sanitizers.SANITIZERS)
def test_the_tests_that_are_named_exist(name):
    sanitizer = sanitizers.SANITIZERS[name]
    for test in (*sanitizer.quick, *sanitizer.more, *sanitizer.left_out):
        path, _, function = test.partition("::")
        path = sanitizers.ROOT / path
        assert path.exists(), test
        assert not function or f"def {function}(" in path.read_text(), test


def test_the_command(monkeypatch):
    sanitizer = sanitizers.SANITIZERS["address"]
    command = sanitizers.pytest_command(sanitizer, True, ["-k", "adam"])
    assert command[:3] == [sys.executable, "-m", "pytest"]
    assert command[-2:] == ["-k", "adam"]
    assert set(sanitizer.quick) < set(command)
    assert not set(sanitizer.more) & set(command)
    assert set(sanitizer.more) < set(sanitizers.pytest_command(sanitizer, False, []))
    chosen = sanitizers.pytest_command(sanitizer, False, ["tests/test_layers.py"])
    assert "tests/test_layers.py" in chosen
    assert not set(sanitizer.quick) & set(chosen)


def test_blocked_packages_are_as_if_they_were_not_installed(tmp_path):
    sanitizers.block(tmp_path / "blocked")
    environment = sanitizers.environment(sanitizers.SANITIZERS["thread"], tmp_path) | {"LD_PRELOAD": ""}
    code = """if True:
        import importlib, sys, pandas, sklearn
        for name in sys.argv[1:]:
            assert name not in sys.modules
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                assert "sanitizers" in str(error)
            else:
                raise AssertionError(name)
    """
    subprocess.run([sys.executable, "-c", code, *sanitizers.BLOCKED], env=environment, check=True, timeout=300)


def test_a_machine_without_a_sanitizer_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sanitizers, "obstacle", lambda sanitizer: "gcc has no libtsan.so")
    assert sanitizers.main(["thread"]) == 1
    assert sanitizers.main(["thread", "--if-available"]) == 0
    assert capsys.readouterr().out == "thread: left out: gcc has no libtsan.so\n" * 2


@pytest.mark.fault(43)
@pytest.mark.skipif(
    sanitizers.obstacle(sanitizers.SANITIZERS["address"]) is not None, reason="the compiler has no AddressSanitizer"
)
@pytest.mark.parametrize(
    ("fault", "report"),
    [("access", "heap-buffer-overflow"), ("sum", "signed integer overflow"), ("leak", "Direct leak of 5 byte")],
)
def test_a_fault_is_reported(fault, report, tmp_path):
    # a program of its own, built with the flags and run with the environment of the script
    sanitizer = sanitizers.SANITIZERS["address"]
    source, program = Path("src/fastbp/kernels/probe.c"), tmp_path / "program"
    (tmp_path / source).parent.mkdir(parents=True)
    (tmp_path / source).write_text(PROBE)
    flags = ["-O1", "-g1", *sanitizer.flags.split(), "-o", program]
    subprocess.run([*sanitizers.compiler(), source, *flags], cwd=tmp_path, check=True, timeout=300)
    with open(tmp_path / "report.stderr", "w") as stderr:
        environment = sanitizers.environment(sanitizer, tmp_path)
        process = subprocess.run([program, fault], env=environment, stderr=stderr, check=False, timeout=300)
    assert (process.returncode == 0) == (fault == "leak")
    ours, _ = sanitizers.reports(tmp_path)
    assert any(report in text and str(source) in text for text in ours)
