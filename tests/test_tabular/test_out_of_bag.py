"""Out-of-bag rows and importances: `estimators/tabular/out_of_bag.py` and `importances.py`."""

import numpy as np
import pytest

from fastbp.estimators.tabular.importances import permutation_importances, rows_to_permute
from fastbp.estimators.tabular.out_of_bag import Fold, OutOfBag, Rows, models_of


def fold(begin, end, models, weight=None):
    X = np.arange(begin, end, dtype=np.float32)[:, None] * [1, 10]
    return Fold(Rows(X, X[:, 0], weight), models)


def factor_of_model(model, X):
    """What a model predicts in these tests: its number times the first column."""
    return model * X[:, :1]


def test_candidates_are_compared_on_the_same_rows():
    rows = OutOfBag([fold(0, 3, [[0], [1]]), fold(3, 5, [[2], [3]])])
    assert len(rows) == 5
    predictions = rows.predictions(factor_of_model)
    assert predictions[:, :, 0].tolist() == [[0, 0, 0, 6, 8], [0, 1, 2, 9, 12]]
    assert rows.targets.tolist() == [0, 1, 2, 3, 4]
    assert rows.sample_weight is None


def test_models_of_one_candidate_are_averaged():
    rows = OutOfBag([fold(1, 3, [[0, 2], [5]])])
    assert rows.predictions(factor_of_model)[:, :, 0].tolist() == [[1, 2], [5, 10]]


def test_folds_without_every_candidate_are_left_out():
    rows = OutOfBag([fold(0, 3, [[0], [1]]), fold(3, 5, [[2], []]), fold(5, 5, [[3], [4]])])
    assert len(rows.folds) == 1
    assert len(OutOfBag([])) == 0


def test_weights_and_head():
    weight = np.array([1.0, 2, 3])
    rows = OutOfBag([fold(0, 3, [[0]], weight), fold(3, 6, [[1]], weight)])
    assert rows.sample_weight.tolist() == [1, 2, 3, 1, 2, 3]
    head = rows.head(3)
    assert head.targets.tolist() == [0, 1, 3, 4]
    assert head.sample_weight.tolist() == [1, 2, 1, 2]


def test_only_the_column_that_counts_has_importance():
    rng = np.random.RandomState(0)
    X = rng.randn(200, 3)
    rows = OutOfBag([Fold(Rows(X[:100], X[:100, 1]), [[0]]), Fold(Rows(X[100:], X[100:, 1]), [[0]])])

    def predict(rows):
        return rows.predictions(lambda model, X: X[:, 1:2])[0]

    def score(predictions):
        return -((predictions[:, 0] - rows.targets) ** 2).mean()

    before = X.copy()
    found = permutation_importances(rows, predict, score, rng)
    assert found[[0, 2]].tolist() == [0, 0]
    assert found[1] == pytest.approx(2, abs=0.5)  # twice the variance of the column
    assert np.array_equal(X, before)


def test_importances_take_a_part_of_the_time_of_training():
    assert rows_to_permute(10, 100_000) == 1500
    assert rows_to_permute(784, 100) == 20  # fewer would tell nothing


def test_importances_predict_many_columns_at_once():
    rng = np.random.RandomState(0)
    X = rng.randn(30, 7)
    rows = OutOfBag([Fold(Rows(X[:20], X[:20, 3]), [[0]]), Fold(Rows(X[20:], X[20:, 3]), [[1]])])
    calls = []

    def predict(rows):
        calls.append(len(rows))
        return rows.predictions(lambda model, X: (1 + model) * X.sum(axis=1, keepdims=True))[0]

    def score(predictions):
        return -((predictions[:, 0] - rows.targets) ** 2).mean()

    at_once = permutation_importances(rows, predict, score, np.random.RandomState(1))
    assert calls == [30, 7 * 30]
    # rows of a permuted copy meet their own targets, and the model of their own fold
    expected, generator = [], np.random.RandomState(1)
    orders = [[generator.permutation(n) for _ in range(7)] for n in (20, 10)]
    for column in range(7):
        changed = X.copy()
        changed[:20, column], changed[20:, column] = (
            X[:20][orders[0][column], column],
            X[20:][orders[1][column], column],
        )
        sums = changed.sum(axis=1, keepdims=True) * np.repeat([1, 2], [20, 10])[:, None]
        expected.append(score(predict(rows)) - score(sums))
    assert np.allclose(at_once, expected)


def test_models_by_candidates():
    assert models_of(1, [0, 0, 1, 1, 1], [0, 1, 0, 1, 1]) == [[2], [3, 4]]
    assert models_of(0, [0, 0, 1], [0, 1, 0]) == [[0], [1]]


def test_parts_of_rows():
    rows = Rows(np.arange(6.0)[:, None], np.arange(6), np.arange(6.0))
    assert rows.part(np.array([1, 3])).targets.tolist() == [1, 3]
    assert rows.without(np.array([1, 3])).sample_weight.tolist() == [0, 2, 4, 5]
    assert rows.without(np.empty(0, int)) is rows
    assert Rows(rows.X, rows.targets).part(slice(2)).sample_weight is None
