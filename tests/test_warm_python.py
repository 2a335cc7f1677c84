"""Processes that are forked after the imports run a script as a new interpreter does; `warm_python.py`."""

import json
import os
import signal

import pytest

import warm_python

FACTS = """
import json, os, sys
import numpy as np
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ["WORD"], os.getpid(), np.random.rand(), __name__, __file__]))
sys.exit(3)
"""
# A shell starts processes in the background with SIGINT ignored. One long call would wait on if the signal came just
# before it, and a script that no signal stops must end by itself.
WAITS = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
print("now", flush=True)
for _ in range(600):
    time.sleep(0.05)
"""


def test_what_a_script_finds(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(FACTS)
    found = []
    for _ in range(2):
        done = warm_python.run([path, "--option", 7], cwd=tmp_path, variables={"WORD": "value"})
        assert (done.returncode, done.stderr) == (3, "")
        arguments, folder, word, *own, name, file = json.loads(done.stdout)
        assert (arguments, word, name) == (["--option", "7"], "value", "__main__")
        assert os.path.samefile(folder, tmp_path)
        assert os.path.samefile(file, path)
        found.append(own)
    assert "WORD" not in os.environ
    # the number of the process and a random one
    assert all(one != other for one, other in zip(*found, strict=True))


def test_an_error_is_told():
    done = warm_python.run(["-c", "import sys; print(sys.argv); 1 / 0", "word"])
    assert (done.returncode, done.stdout) == (1, "['-c', 'word']\n")
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_signals(number, tmp_path):
    with open(tmp_path / "stderr", "w+") as stderr:
        process = warm_python.start(["-c", WAITS], stderr=stderr)
        with process.stdin, process.stdout:
            assert process.stdout.readline() == "now\n"
            process.send_signal(number)
            assert process.wait() == -number
        stderr.seek(0)
        assert ("KeyboardInterrupt" in stderr.read()) == (number == signal.SIGINT)


def test_variables_that_count_while_modules_are_imported():
    code = "from fastbp.kernels import ISA; print(ISA)"
    assert warm_python.run(["-c", code], FASTBP_ISA="baseline").stdout == "baseline\n"


def test_a_script_that_hangs_is_killed():
    assert warm_python.run(["-c", "import time; time.sleep(600)"], timeout=0.5).returncode != 0
