"""Training on files under a limit of memory; `benchmarks/larger_than_memory.py`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastbp
from benchmark_cases import BENCHMARKS, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is for Linux")

PARENT = """
import json, sys
import numpy as np
from larger_than_memory import measure

held = np.ones(500_000_000, np.uint8)
held = held[:0].copy()
print(json.dumps(measure(sys.argv[1:], "stream", "64", 1, 3.0)))
"""
LIMITED = """
import resource
from types import SimpleNamespace
import larger_than_memory

def print_limits(*arguments, **options):
    print(*resource.getrlimit(resource.RLIMIT_AS))

larger_than_memory.estimator = lambda *arguments, **options: SimpleNamespace(fit_batches=print_limits)
larger_than_memory.stream(SimpleNamespace(n_rows=1), "64", 1, 2.5)
"""


@pytest.fixture
def importable(monkeypatch):
    """Processes that are started find the package under test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(fastbp.__file__).parents[1]))


def test_in_memory_and_from_the_disk(tmp_path):
    pytest.importorskip("pyarrow")
    files = ("--folder", "files", "--gigabytes", "0.002", "--json", "found.json")
    what = ("--networks", "64", "--measurements", "memory", "cold", "--repeats", "1")
    output = run(BENCHMARKS / "larger_than_memory.py", *files, *what, cwd=tmp_path)
    assert "waiting" in output
    found = json.loads((tmp_path / "found.json").read_text())["networks"]
    assert set(found) == {"64"}
    assert set(found["64"]) == {"memory", "cold"}
    for figures in found["64"].values():
        assert figures["rows_per_second"] > 0
    assert 0 <= found["64"]["cold"]["waiting"] <= 1
    assert 0.03 < found["64"]["cold"]["resident_gigabytes"] < 0.5
    assert len(list((tmp_path / "files").iterdir())) == 16


def test_resident_memory_is_that_of_the_child(benchmarks, importable, tmp_path):
    pytest.importorskip("pyarrow")
    paths = benchmarks("larger_than_memory").write_files(tmp_path, 0.002)
    found = run("-c", f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n{PARENT}", *paths, cwd=tmp_path)
    assert json.loads(found)["resident_gigabytes"] < 0.5


def test_the_address_space_is_limited(tmp_path):
    found = run("-c", f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n{LIMITED}", cwd=tmp_path)
    assert found.split() == ["2500000000", "2500000000"]


def test_errors_of_a_measurement_are_shown(benchmarks, importable, tmp_path, capfd):
    np.save(tmp_path / "empty.npy", np.empty((0, 31), np.float32))
    with pytest.raises(subprocess.CalledProcessError):
        benchmarks("larger_than_memory").measure([str(tmp_path / "empty.npy")], "read", "64", 1, 3.0)
    assert "Error: " in capfd.readouterr().err


def test_the_share_of_memory_needs_its_measurement(benchmarks):
    report = benchmarks("larger_than_memory").report
    figures = {"rows_per_second": 1000.0}
    (*_, line) = report(1.0, 3.0, 2, {"64": {"read": figures}})
    assert line.split() == ["64", "read", "1,000"]
    (*_, line) = report(1.0, 3.0, 2, {"64": {"memory": {"rows_per_second": 2000.0}, "read": figures}})
    assert line.split() == ["64", "read", "1,000", "50%"]
