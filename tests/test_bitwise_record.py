"""Every model, loss and prediction of `bitwise_cases` comes out bit for bit as the record says.

A level of instructions is computed in a process of its own, each case by one thread and by two. Skipped where the
compiler, the processor or a library that computes is not the one that the record was made with; the reasons say which.
"""

import json

import pytest

import bitwise_record

RECORD = json.loads(bitwise_record.RECORD.read_text("utf-8"))


@pytest.mark.parametrize("level", RECORD["hashes"])
def test_every_bit_is_as_before(level):
    reason = bitwise_record.obstacle(RECORD["recorded_with"], bitwise_record.circumstances())
    if reason:
        pytest.skip(reason)
    lines = bitwise_record.complaints(RECORD["hashes"][level], bitwise_record.hashes_at(level))
    assert not lines, "\n".join([f"{len(lines)} cases differ at {level}:", *lines])


def test_the_record_is_whole():
    names = set(bitwise_record.table())
    assert len(names) >= 200
    assert list(RECORD["hashes"]) == RECORD["recorded_with"]["instruction sets"].split()
    for recorded in RECORD["hashes"].values():
        assert set(recorded) == names


def test_differences_are_told():
    found = {
        "same": {"weights": "00000000", "losses": "11111111"},
        "other": {"weights": "00000000", "losses": "22222222"},
        "threads": {"weights": "00000000 by one thread, 33333333 by two", "losses": "11111111"},
        "new": {"weights": "00000000"},
        "shorter": {"weights": "00000000"},
    }
    recorded = dict.fromkeys(("same", "other", "threads", "gone", "shorter"), "00000000 11111111")
    assert bitwise_record.complaints(recorded, found) == [
        "other: losses",
        "threads: weights (00000000 by one thread, 33333333 by two)",
        "gone: no longer a case",
        "shorter: 1 hashes, 2 recorded",
        "new: not in the record",
    ]


@pytest.mark.parametrize("key", RECORD["recorded_with"])
def test_what_cannot_be_compared(key, monkeypatch):
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    recorded = RECORD["recorded_with"]
    assert bitwise_record.obstacle(recorded, recorded) is None
    reason = bitwise_record.obstacle(recorded, {**recorded, key: "another"})
    assert reason == f"recorded with {key} {recorded[key]}, and this is another"


def test_a_hash_stands_for_bytes_shapes_and_dtypes():
    arrays = [0.0], [-0.0], [[0.0]], [0]
    assert len({bitwise_record.digest([array]) for array in arrays}) == len(arrays)
    assert bitwise_record.digest([[0.0], [1.0]]) == bitwise_record.digest([[0.0], [1.0]])
