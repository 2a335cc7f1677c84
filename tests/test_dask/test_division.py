"""Which partitions make up a shard, and which worker holds it."""

import pytest

from fastbp.dask.division import divide, homes, moved_homes

WORKERS = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sizes", "n", "expected"),
    [
        ([1] * 6, 3, [[0, 1], [2, 3], [4, 5]]),
        ([1] * 7, 2, [[0, 1, 2], [3, 4, 5, 6]]),
        ([5, 1, 1, 1, 1, 1], 2, [[0], [1, 2, 3, 4, 5]]),
        ([1, 1], 3, [[0], [1]]),
        ([10], 3, [[0]]),
        ([0, 0, 4], 2, [[0, 1], [2]]),
    ],
)
def test_partitions_that_lie_nowhere_are_divided_in_order(sizes, n, expected):
    assert divide(sizes, [None] * len(sizes), WORKERS[:n]) == expected


def test_partitions_stay_where_they_lie():
    places = ["b", "a", "b", "a", "c", "c"]
    assert divide([1] * 6, places, WORKERS) == [[0, 2], [1, 3], [4, 5]]
    assert homes([[0, 2], [1, 3], [4, 5]], places, WORKERS) == ["b", "a", "c"]


def test_what_one_worker_has_too_much_of_goes_to_others():
    shards = divide([1] * 6, ["a"] * 6, WORKERS)
    assert sorted(map(len, shards)) == [2, 2, 2]
    assert sorted(number for shard in shards for number in shard) == list(range(6))
    chosen = homes(shards, ["a"] * 6, WORKERS)
    assert sorted(chosen) == WORKERS
    assert divide([1, 1], ["z", None], WORKERS[:2]) == [[0], [1]]  # "z" is gone


def test_the_division_does_not_depend_on_addresses():
    places = ["b", "a", "b", "a", None, None]
    other = {"a": "y", "b": "x", "c": "w", None: None}
    assert divide([1] * 6, places, WORKERS) == divide([1] * 6, [other[p] for p in places], ["w", "x", "y"])


def test_shards_of_workers_that_are_gone_move():
    assert moved_homes(["a", "b", "c"], ["a", "b", "c"]) == ["a", "b", "c"]
    assert moved_homes(["a", "b", "c"], ["a", "c", "d"]) == ["a", "d", "c"]
    assert moved_homes(["a", "b", "c"], ["c"]) == ["c", "c", "c"]
