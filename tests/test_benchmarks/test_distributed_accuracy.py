"""Accuracy on a cluster against one machine; `benchmarks/distributed_accuracy.py`."""

import json

import pytest

from benchmark_cases import BENCHMARKS, run


def test_one_worker_has_the_accuracy_of_one_machine(tmp_path):
    pytest.importorskip("distributed")
    arguments = ["--only", "digits", "--workers", "1", "--seeds", "1", "--epochs", "3", "--json", "found.json"]
    arguments += ["--set", "solver=sgd", "learning_rate_init=0.1", "--on-cluster", "sync_every=7"]
    output = run(BENCHMARKS / "distributed_accuracy.py", *arguments, cwd=tmp_path)
    assert "1 worker(s)" in output
    assert "'solver': 'sgd'" in output
    found = json.loads((tmp_path / "found.json").read_text())["digits"]
    assert list(found) == ["0", "1"]
    assert found["1"]["accuracies"] == found["0"]["accuracies"]
    assert found["0"]["accuracies"][0] > 50
