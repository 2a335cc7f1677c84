"""Tries an installed wheel: the quick start, and a choice of the tests that takes about a minute.

Run as ``python .ci/try_wheel.py``, with the wheel, pytest and hypothesis installed. The folder ``src`` is
not on the path: the installed modules are tested.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The kernels and the instruction sets that this processor has; weights beside scikit-learn's; threads; model files
TESTS = [
    "tests/kernels/test_dense.py",
    "tests/kernels/test_dispatch.py",
    "tests/test_config.py",
    "tests/test_network.py",
    "tests/test_parity.py",
    "tests/test_threads.py",
]
QUICK_START = "examples/quickstart.py"

if __name__ == "__main__":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for arguments in ([QUICK_START], ["-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]):
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True)
