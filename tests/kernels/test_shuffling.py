"""Shuffles and uniform numbers from NumPy's generators; `shuffling.pyx`."""

import numpy as np
import pytest

from fastbp.kernels.shuffling import shuffle, uniform


# Shorter than the numbers that are drawn ahead, as long, around powers of two, where the mask of the draws changes, and
# longer than what is shuffled between two checks for signals
@pytest.mark.parametrize("n", [0, 1, 2, 3, 127, 128, 129, 256, 257, 1000, 65_537, 2**20 + 130])
def test_shuffle_is_that_of_numpy(n):
    ours, expected = np.arange(n), np.arange(n)
    generator, reference = np.random.RandomState(3), np.random.RandomState(3)
    for _ in range(2):
        shuffle(generator, ours)
        reference.shuffle(expected)
    np.testing.assert_array_equal(ours, expected)
    # no number was drawn that was not used
    assert generator.randint(2**31) == reference.randint(2**31)


def test_uniform_is_that_of_numpy():
    expected = np.random.RandomState(0).uniform(-2, 3, (4, 5))
    np.testing.assert_array_equal(uniform(np.random.RandomState(0), -2, 3, (4, 5)), expected)
