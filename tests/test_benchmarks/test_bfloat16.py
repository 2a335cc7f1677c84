"""Training in bfloat16 against float32; `benchmarks/bfloat16.py`."""

import json

from benchmark_cases import BENCHMARKS, run
from bfloat16_cases import needs_bfloat16


@needs_bfloat16
def test_times_and_accuracies(tmp_path):
    options = ("--quick", "--rounds", "1", "--seeds", "2", "--json", "found.json")
    output = run(BENCHMARKS / "bfloat16.py", *options, cwd=tmp_path)
    assert "digits: test accuracy" in output
    found = json.loads((tmp_path / "found.json").read_text())
    (epoch,) = found["epochs"]
    assert f"{epoch['network']}, batches of {epoch['batch_size']}" in output
    assert min(epoch["seconds"].values()) > 0
    assert epoch["ratio"] == epoch["seconds"]["float32"] / epoch["seconds"]["bfloat16"]
    for accuracies in found["accuracies"]["digits"].values():
        assert len(accuracies) == 2
        assert min(accuracies) > 0.9
