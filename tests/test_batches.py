"""The size of batches; `training/batches.py`."""

import pytest

from fastbp.training import even_batch_size


def last_batch(n_rows, size):
    return n_rows % size or size


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "size"),
    [
        (1000, 250, 250),  # even as it is
        (1000, 256, 253),  # 241 rows in the last batch
        (60000, 64, 60),  # 1000 batches; with 64 the last one would have 32 rows
        (60000, 256, 250),
        (300, 256, 300),  # one batch: no size near 256 divides the rows into two nearly equal ones
        (100, 256, 100),
        (1, 8, 1),
        (7, 1, 1),
    ],
)
def test_sizes(n_rows, batch_size, size):
    assert even_batch_size(n_rows, batch_size) == size


def test_the_last_batch_is_nearly_full():
    for batch_size in (64, 128, 256):
        for n_rows in [*range(batch_size, 4000, 97), 4033, 10007, 32561, 59999]:
            size = even_batch_size(n_rows, batch_size)
            # one of n equal batches lacks at most n - 1 rows, and for many batches there are many sizes to choose from
            assert last_batch(n_rows, size) >= 0.8 * size, (n_rows, batch_size, size)
            assert type(size) is int
            # a quarter, but where the rows are few batches
            assert abs(size - batch_size) <= batch_size / 4 or n_rows < 3 * batch_size
