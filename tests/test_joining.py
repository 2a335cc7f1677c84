"""Blocks that are joined to one."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fastbp import MLPClassifier, TabularMLPClassifier
from fastbp.sources import Block
from fastbp.sources.joining import joined_blocks

Y = np.array([0, 1, 0])
FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
X = FRAME.to_numpy()


def joined_X(*parts):
    return joined_blocks("source", [Block(part, Y) for part in parts]).X


def joined_y(*parts):
    return joined_blocks("source", [Block(X, part) for part in parts]).y


def as_frame(library):
    """What makes a data frame of a dict of columns."""
    return getattr(pytest.importorskip(library), "table" if library == "pyarrow" else "DataFrame")


# X


@pytest.mark.parametrize(
    ("parts", "dtype"),
    [
        ((X.astype(np.float32), X), np.float64),
        ((X.astype(int), X), np.float64),
        ((X.astype(np.float32), X.astype(np.float32)), np.float32),
        ((X, X.astype(object)), object),
    ],
)
def test_arrays_of_different_types(parts, dtype):
    found = joined_X(*parts)
    assert found.dtype == dtype
    assert_array_equal(found.astype(float), np.vstack([X, X]))


def test_lists():
    assert joined_X(X.tolist(), X.tolist()) == [*X.tolist(), *X.tolist()]
    beside_text = joined_X(X.astype(object), [[1.5, "x"]])
    assert beside_text[-1].tolist() == [1.5, "x"]


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("cls", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_matrices(form, cls):
    first, second = cls(X).asformat(form), sparse.csc_array(X)
    for parts in ((first, first), (first, second), (second, first)):
        assert_array_equal(joined_X(*parts).toarray(), np.vstack([X, X]))
    with pytest.raises(ValueError, match=r"block 1 of source: X has rows of the shape \(1,\)"):
        joined_X(first, cls(X[:, :1]).asformat(form))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_of_different_types(library):
    frame = as_frame(library)
    found = joined_X(frame({"a": [1, 2], "b": ["x", "y"]}), frame({"a": [0.5], "b": ["z"]}))
    assert np.asarray(found["a"]).tolist() == [1.0, 2.0, 0.5]
    assert np.asarray(found["b"]).tolist() == ["x", "y", "z"]


#: The second block, of a first one with the columns a and b -> the message
OTHER_COLUMNS = {
    "missing": ({"a": [1.0]}, r"got them without \['b'\] and with \[\]"),
    "extra": ({"a": [1.0], "b": [1.0], "z": [1.0]}, r"got them without \[\] and with \['z'\]"),
    "renamed": ({"A": [1.0], "b": [1.0]}, r"got them without \['a'\] and with \['A'\]"),
    "in another order": ({"b": [1.0], "a": [1.0]}, "got them in another order"),
}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("case", OTHER_COLUMNS)
def test_other_columns(case, library):
    frame, (columns, message) = as_frame(library), OTHER_COLUMNS[case]
    first = frame({"a": [1.0], "b": [2.0]})
    with pytest.raises(ValueError, match=f"block 2 of source: X must have the columns of the first block, {message}"):
        joined_X(first, first, frame(columns))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((X, X[:, :1]), r"block 1 of source: X has rows of the shape \(1,\), and had rows of the shape \(2,\)"),
        ((X.tolist(), X[:, :1].tolist()), r"block 1 of source: X has rows of the shape \(1,\)"),
        ((sparse.csr_array(X), sparse.csr_array(X[:, :1])), r"block 1 of source: X has rows of the shape \(1,\)"),
        ((X, X.astype(str)), "block 1 of source: X holds text, and held numbers in the first block"),
        ((X, sparse.csr_array(X)), "block 1 of source: X is a sparse matrix, and was an array in the first block"),
        ((FRAME, X), "block 1 of source: X is an array, and was of pandas in the first block"),
    ],
)
def test_blocks_of_other_kinds(parts, message):
    with pytest.raises(ValueError, match=message):
        joined_X(*parts)


def test_blocks_have_the_numbers_that_they_are_given():
    with pytest.raises(ValueError, match="block 7 of source: X has"):
        joined_blocks("source", [Block(X, Y), Block(X[:, :1], Y)], [3, 7])


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_text_and_numbers_in_a_column(library):
    frame = as_frame(library)
    for values in ([1], ["x"]), (["x"], [1]):
        with pytest.raises(ValueError, match="block 1 of source: X has columns of other types than the blocks before"):
            joined_X(*(frame({"a": a}) for a in values))


def test_tables_and_record_batches_of_pyarrow():
    pa = pytest.importorskip("pyarrow")
    batch = pa.record_batch({"a": [1, 2], "b": pa.nulls(2)})
    found = joined_X(batch, pa.table({"a": [0.5], "b": ["x"]}))
    assert found.to_pydict() == {"a": [1.0, 2.0, 0.5], "b": [None, None, "x"]}


@pytest.mark.parametrize(
    "kinds",
    [("dictionary", "string"), ("string", "dictionary"), ("string", "large_string"), ("dictionary", "dictionary")],
)
def test_text_of_pyarrow(kinds):
    pa = pytest.importorskip("pyarrow")
    types = {"dictionary": pa.dictionary(pa.int32(), pa.string()), "large_string": pa.large_string()}
    parts = [
        pa.table({"a": pa.array(values, types.get(kind, pa.string()))})
        for kind, values in zip(kinds, (["x", None], ["y", "x"]), strict=True)
    ]
    found = joined_X(*parts)
    assert found["a"].to_pylist() == ["x", None, "y", "x"]
    assert pa.types.is_dictionary(found.schema.field("a").type) == (kinds[0] == "dictionary")


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("others", [([None, None],), (["y", None],), ([None, None], ["y", None])])
def test_dictionaries_of_pyarrow_stay_so(ordered, others):
    pa = pytest.importorskip("pyarrow")
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), ["x", "y"], ordered=ordered)
    found = joined_X(pa.table({"a": column}), *(pa.table({"a": values}) for values in others))
    assert pa.types.is_dictionary(found.schema.field("a").type)
    assert found["a"].to_pylist() == ["x", "y", *(value for values in others for value in values)]


@pytest.mark.parametrize("kind", ["int8", "int64", "float16", "float32", "float64"])
def test_numbers_of_pyarrow_beside_bools(kind):
    pa = pytest.importorskip("pyarrow")
    parts = [pa.table({"a": [True, None]}), pa.table({"a": pa.nulls(1)})]
    parts.append(pa.table({"a": pa.array(np.array([2]).astype(kind))}))
    assert joined_X(*parts)["a"].to_pylist() == [1, None, None, 2]
    assert joined_X(*parts[::-1])["a"].to_pylist() == [2, None, 1, None]


def test_integers_of_pyarrow_beyond_floats():
    pa = pytest.importorskip("pyarrow")
    found = joined_X(pa.table({"a": [2**60 + 1]}), pa.table({"a": [0.5]}))
    assert found["a"].to_pylist() == [2.0**60, 0.5]


def test_categories_of_polars():
    pl = pytest.importorskip("polars")
    kinds = [pl.Enum(["x", "y"]), pl.Enum(["x", "z"]), pl.Categorical, pl.String, pl.Null]
    frames = [pl.DataFrame({"a": pl.Series([None if kind == pl.Null else "x"], dtype=kind)}) for kind in kinds]
    for first in frames:
        assert joined_X(first, first).schema == first.schema
        for second in frames:
            assert joined_X(first, second)["a"].to_list() == [*first["a"], *second["a"]]
    with pytest.raises(ValueError, match=r"block 1 of source: X has columns of other types .*'a' is Int64"):
        joined_X(frames[0], pl.DataFrame({"a": [1]}))


@pytest.mark.parametrize("second", [pd.Categorical([7, 8]), pd.Categorical([2, 1]), [7, 8]])
def test_categories_of_pandas_stay_categories(second):
    found = joined_X(pd.DataFrame({"a": pd.Categorical([1, None])}), pd.DataFrame({"a": second}))
    assert isinstance(found["a"].dtype, pd.CategoricalDtype)
    assert found["a"].tolist()[2:] == list(second)
    assert np.isnan(found["a"].tolist()[1])


# y and sample weights


def test_targets_of_different_types():
    assert_array_equal(joined_y(pd.Series(Y), Y, Y.tolist()), np.tile(Y, 3))
    assert_array_equal(joined_y(pd.DataFrame({"y": Y}), Y[:, np.newaxis]), np.tile(Y, 2)[:, np.newaxis])
    assert isinstance(joined_y(pd.Series(Y), pd.Series(Y)), pd.Series)
    assert joined_y(["a"], ["b", "c"]) == ["a", "b", "c"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_targets_of_one_column(library):
    frame, column = as_frame(library), Y[:, np.newaxis]
    forms = [Y, Y.tolist(), pd.Series(Y), column, column.tolist(), frame({"y": Y}), frame({"z": Y})]
    for first in forms:
        for second in forms:
            assert_array_equal(np.ravel(joined_y(first, second)), np.tile(Y, 2))


def test_targets_of_several_columns():
    several = pd.DataFrame({"y": Y, "z": Y})
    with pytest.raises(
        ValueError, match=r"block 1 of source: y must have the columns of the first block, .* another o"
    ):
        joined_y(several, several[["z", "y"]])
    for other in (Y, Y[:, np.newaxis]):
        with pytest.raises(ValueError, match=r"block 1 of source: y has rows of the shape .* \(2,\) in the first"):
            joined_y(several, other)


def test_targets_of_polars_and_pyarrow():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    assert_array_equal(joined_y(pa.chunked_array([Y]), pa.array(Y)), np.tile(Y, 2))
    assert_array_equal(joined_y(pa.chunked_array([["a"]]), pa.array(["b"]).dictionary_encode()), ["a", "b"])
    assert_array_equal(joined_y(pl.Series(Y), pl.Series(Y / 2)), [*Y, *Y / 2])


@pytest.mark.parametrize("parts", [(Y, Y.astype(str)), (Y.astype(str), pd.Series(Y))])
def test_labels_of_two_types(parts):
    with pytest.raises(ValueError, match="block 1 of source: y holds"):
        joined_y(*parts)


def test_weights_in_some_blocks():
    with pytest.raises(ValueError, match="source: sample_weight is there in some blocks, and missing in others"):
        joined_blocks("source", [Block(X, Y, np.ones(3)), Block(X, Y)])


# Rows to validate on


@pytest.mark.fault(39)
@pytest.mark.parametrize("cls", [MLPClassifier, TabularMLPClassifier])
@pytest.mark.parametrize("case", OTHER_COLUMNS)
def test_validation_blocks_of_other_columns(cls, case):
    columns, message = OTHER_COLUMNS[case]
    blocks = [(FRAME, Y), (FRAME, Y), (pd.DataFrame(columns), Y[:1])]
    with pytest.raises(ValueError, match=f"block 2 of validation: X must have the columns of the first .*{message}"):
        cls().fit_batches([(FRAME, Y)], validation=blocks)
