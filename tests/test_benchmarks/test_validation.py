"""The cost of validation; `benchmarks/validation.py`."""

import json

from benchmark_cases import BENCHMARKS, run


def test_every_estimator_and_dtype_is_measured(tmp_path):
    output = run(BENCHMARKS / "validation.py", "--quick", "--json", "found.json", cwd=tmp_path)
    assert "MLPRegressor" in output
    rows = json.loads((tmp_path / "found.json").read_text())
    assert {(row["estimator"], row["dtype"]) for row in rows} == {
        (estimator, dtype) for estimator in ("MLPClassifier", "MLPRegressor") for dtype in ("float32", "float64")
    }
    for row in rows:
        assert row["epoch_ms"] > 0
        assert (row["conversion_ms"] > 0) == (row["dtype"] == "float32")
