"""Which rows are out of bag: `estimators/tabular/folds.py`."""

import numpy as np
import pytest

from fastbp.estimators.tabular.folds import FEWEST_ROWS, out_of_bag_rows


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def test_folds_are_disjoint_and_have_their_share(rng):
    folds = out_of_bag_rows(103, 10, 0.1, None, rng)
    assert sorted(np.concatenate(folds)) == list(range(103))
    assert {len(fold) for fold in folds} == {10, 11}
    assert all((np.diff(fold) > 0).all() for fold in folds)


def test_folds_go_round(rng):
    folds = out_of_bag_rows(100, 5, 0.25, None, rng)
    assert np.array_equal(folds[0], folds[4])
    assert not np.intersect1d(folds[0], folds[1]).size


def test_classes_are_spread_evenly(rng):
    classes = np.repeat([0, 1, 2], [60, 30, 10])
    for fold in out_of_bag_rows(100, 10, 0.1, classes, rng):
        assert np.bincount(classes[fold], minlength=3).tolist() == [6, 3, 1]


@pytest.mark.parametrize("counts", [[50, 1], [40, 3, 2, 1], [1] * 30, [2] * 15])
def test_a_row_of_each_class_is_left_to_train_on(counts, rng):
    classes = np.repeat(np.arange(len(counts)), counts)
    for fold in out_of_bag_rows(len(classes), 4, 0.1, classes, rng):
        left = np.delete(classes, fold)
        assert len(np.unique(left)) == len(counts)


@pytest.mark.parametrize(("n_rows", "share"), [(FEWEST_ROWS - 1, 0.1), (1000, 0), (1, 0.5)])
def test_without_out_of_bag_rows(n_rows, share, rng):
    assert [len(fold) for fold in out_of_bag_rows(n_rows, 3, share, None, rng)] == [0, 0, 0]


def test_the_generator_decides():
    first, again, other = (out_of_bag_rows(50, 1, 0.2, None, np.random.RandomState(seed))[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
