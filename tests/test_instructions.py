"""A training step and a prediction execute no more instructions than the record says; `benchmarks/instructions.py`.

The guard against slowness that needs no clock. It is skipped where nothing can be counted, and where the record was
made in other circumstances; the reasons say which.
"""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RECORD = json.loads((BENCHMARKS / "instructions.json").read_text("utf-8"))
CASES = [(name, kind) for name, by_kind in RECORD["counts"].items() for kind in by_kind]


@pytest.fixture(scope="module")
def instructions():
    """The module, which imports its neighbours by their bare names; they are forgotten afterwards."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("instructions")
    for name in {"instructions", "workloads", "jobs"} - before:
        del sys.modules[name]


@pytest.fixture(scope="module")
def circumstances(instructions):
    return instructions.circumstances()


@pytest.fixture(scope="module")
def counts(instructions, circumstances):
    """All counts, of one run of half a minute at most."""
    return instructions.count()


@pytest.fixture
def comparable(instructions, circumstances, request):
    """Skips the test unless its count can be made and compared."""
    reason = instructions.obstacle() or instructions.mismatch(
        request.getfixturevalue("kind"), RECORD["recorded_with"], circumstances
    )
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_instructions(name, kind, comparable, instructions, request):
    found = request.getfixturevalue("counts")[name][kind]
    complaint = instructions.complaint(name, kind, RECORD["counts"][name][kind], found, RECORD["tolerances"][kind])
    assert complaint is None, complaint


def test_the_record_is_whole(instructions):
    assert set(CASES) == {(name, kind) for name in instructions.NAMES for kind in instructions.KINDS}
    assert RECORD["tolerances"] == instructions.TOLERANCES
    assert RECORD["recorded_with"].keys() == {"architecture", "isa", "compiler", "python"}
    for name, kind in CASES:
        # a vector of AVX2 holds 8 floats, so that an instruction does 16 operations at most
        assert RECORD["counts"][name][kind] > instructions.flops(name, kind) / 16


def test_a_rise_is_an_error_and_a_great_fall_is_too_good(instructions):
    tolerance = {"rise": 0.02, "fall": 0.08}

    def complaint(found):
        return instructions.complaint("a-b", "step", 1000, found, tolerance)

    assert [complaint(found) for found in (921, 1000, 1019)] == [None] * 3
    assert "a-b, step: 1,000 instructions recorded, 1,021 counted (+2.1%). Find" in complaint(1021)
    assert "919 counted (-8.1%). Well done; record anew" in complaint(919)
    assert all("instructions.py --record" in complaint(found) for found in (919, 1021))


@pytest.mark.parametrize(
    ("key", "value", "stops"),
    [
        ("architecture", "aarch64", {"step", "predict"}),
        ("isa", "baseline", {"step", "predict"}),
        ("compiler", "gcc 13.2.0", {"step", "predict"}),
        ("compiler", "clang 12.2.0", {"step", "predict"}),
        ("compiler", "gcc 12.4.1", set()),
        ("python", "CPython 3.12.7", {"predict"}),
        ("python", "PyPy 3.11.7", {"predict"}),
        ("python", "CPython 3.11.9", set()),
    ],
)
def test_what_can_be_compared(instructions, key, value, stops):
    recorded = {"architecture": "x86_64", "isa": "avx2", "compiler": "gcc 12.2.0", "python": "CPython 3.11.7"}
    found = {**recorded, key: value}
    reasons = {kind: instructions.mismatch(kind, recorded, found) for kind in instructions.KINDS}
    assert {kind for kind, reason in reasons.items() if reason} == stops
    for kind in stops:
        assert f"recorded with {key} " in reasons[kind]


def test_without_valgrind(instructions, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert instructions.obstacle() == "valgrind is not installed"
