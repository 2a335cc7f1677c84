"""Predictions with weights of 8 bits against float32; `benchmarks/quantized.py`."""

import pytest


@pytest.fixture
def quantized(benchmarks, monkeypatch):
    """The benchmark with little to do."""
    module = benchmarks("quantized")
    for name, value in dict(ROWS=(5, 40), ROUNDS=2, ROWS_PER_ROUND=80, LAYER_SIZES=(64, 20, 18, 10)).items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "EPOCHS", {"digits": 2})
    monkeypatch.setattr(module, "fma_peak", lambda n_threads: 1e9 * n_threads)
    return module


def cells(text):
    """The cells of the tables in a text, row by row, without the lines below the heads."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if "---" not in row[0]]


def test_time(quantized, capsys):
    quantized.main([])
    head, *rows = cells(capsys.readouterr().out)
    assert head[:2] == ["rows", "threads"]
    assert [row[:2] for row in rows] == [["5", "1"], ["40", "1"], ["5", "2"], ["40", "2"]]
    for row in rows:
        in_float, in_bytes, ratio = map(float, row[2:5])
        assert min(in_float, in_bytes, ratio) > 0


def test_accuracy(quantized, capsys):
    quantized.main(["--no-time", "--data", "digits", "--seeds", "2"])
    head, row = cells(capsys.readouterr().out)
    assert head[2:] == ["float32", "difference", "rows of another class"]
    assert row[:2] == ["digits", "450"]
    assert float(row[2]) > 50  # percent, after two epochs
    assert all(abs(float(change)) < 5 for change in row[3].split(","))
    assert len(row[4].split(",")) == 2


def test_seconds_are_the_least_of_the_rounds(quantized, monkeypatch):
    times = iter([0.0, 4.0, 4.0, 5.0, 5.0, 7.0, 7.0, 13.0])
    monkeypatch.setattr(quantized.time, "process_time", lambda: next(times))
    calls = []
    functions = [lambda: calls.append("a"), lambda: calls.append("b")]
    assert quantized.seconds_of(functions, n_threads=1, repeats=2) == [1.0, 0.5]
    assert calls == ["a", "a", "b", "b"] * 2
