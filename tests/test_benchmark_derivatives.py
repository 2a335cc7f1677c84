"""The benchmark of derivatives: its counts of products and its output."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "derivatives.py"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What a quick run writes."""
    file = tmp_path_factory.mktemp("derivatives") / "out.json"
    process = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--json", str(file)], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    return json.loads(file.read_text())


def test_every_net_and_dtype_is_measured(rows):
    assert len({(row["layers"], row["dtype"]) for row in rows}) == len(rows) == 10
    for row in rows:
        assert row["forward_ms"] > 0
        assert row["passes"].keys() == row["passes_by_operations"].keys() >= {"vjp", "jvp", "hvp"}
        assert all(passes > 0 for passes in row["passes"].values())


def test_passes_by_operations(rows):
    row = next(row for row in rows if row["layers"] == "64-100-10")
    # by hand: 6,400 weights in the first layer, 1,000 in the second
    assert row["passes_by_operations"]["vjp"] == 2
    assert row["passes_by_operations"]["hvp"] == pytest.approx((3 * 6400 + 8 * 1000) / 7400)
    assert row["passes_by_operations"]["loss_and_gradient"] == pytest.approx((2 * 6400 + 3 * 1000) / 7400)
