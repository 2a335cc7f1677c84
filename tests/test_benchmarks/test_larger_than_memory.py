"""Training on files under a limit of memory; `benchmarks/larger_than_memory.py`."""

import json
import sys

import pytest

from benchmark_cases import BENCHMARKS, run


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is for Linux")
def test_all_that_is_measured(tmp_path):
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
    assert len(list((tmp_path / "files").iterdir())) == 16
