"""The columns of tables as plain data."""

import numpy as np
import pytest

from fastbp.estimators.tabular.encoder import TableEncoder
from fastbp.estimators.tabular.levels import Levels
from fastbp.export.tables import LevelColumn, NumberColumn, columns_of

NAN = np.nan


def columns(*levels):
    """The LevelColumns of some Levels."""
    is_binary = np.array([len(one) == 2 for one in levels])
    encoder = TableEncoder(np.zeros(len(levels)), np.ones(len(levels)), levels, is_binary)
    return columns_of(encoder, [f"c{i}" for i in range(len(levels))])


def codes_by_encoder(levels, values):
    """What `TableEncoder` makes of some values, as a list."""
    encoder = TableEncoder(np.zeros(1), np.ones(1), (levels,), np.array([len(levels) == 2]))

    class Estimator:
        n_features_in_ = 1

    return encoder.transform(np.array(values, object)[:, None], Estimator())[:, 0].tolist()


@pytest.mark.parametrize("has_rare", [False, True])
@pytest.mark.parametrize("has_missing", [False, True])
@pytest.mark.parametrize("values", [("a", "b", "c"), ("a", "b"), ("a",), (1, 2.5, 7), (False, True), (0,)])
def test_codes_are_those_of_the_encoder(values, has_missing, has_rare):
    levels = Levels(values, has_rare, has_missing)
    (column,) = columns(levels)
    unseen = "?" if column.is_text else 99.0
    wanted = codes_by_encoder(levels, [*values, unseen, None])
    np.testing.assert_array_equal([*column.codes.values(), column.unseen, column.missing], wanted)
    assert column.is_text == isinstance(values[0], str)


def test_bools_are_numbers():
    assert columns(Levels((False, True), False, True))[0].codes == {0.0: 0.0, 1.0: 1.0}


def test_whether_missing_is_told_from_unseen():
    found = columns(*(Levels(("a", "b", "c"), rare, missing) for rare in (False, True) for missing in (False, True)))
    assert [column.knows_missing for column in found] == [False, True, False, True]


def test_numbers():
    encoder = TableEncoder(np.array([2.0, 0.0]), np.array([0.5, 1.0]), (None, None), np.array([True, False]))
    assert columns_of(encoder, ["a", "b"]) == (NumberColumn("a", 2.0, 0.5, True), NumberColumn("b", 0.0, 1.0, False))
    assert NumberColumn.bound == 2.0**100
    assert not NumberColumn.is_text


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (("a", 1), TypeError, "column 'c0' of X holds text beside numbers, such as 'a'"),
        ((b"a", b"b"), TypeError, "holds bytes, such as b'a', which cannot be exported: fit with text only"),
        ((1, 2**53 + 1), ValueError, "has the level 9007199254740993, which float64 cannot hold"),
    ],
)
def test_levels_that_cannot_be_exported(values, error, message):
    with pytest.raises(error, match=message):
        columns(Levels(values, True, False))


def test_names_must_be_different():
    encoder = TableEncoder(np.zeros(2), np.ones(2), (None, None), np.zeros(2, bool))
    with pytest.raises(ValueError, match="different names to be exported, got 'a' more than once"):
        columns_of(encoder, ["a", "a"])
    assert isinstance(columns(Levels(("a",), True, True))[0], LevelColumn)
