"""Sources of tables: Parquet, CSV and Arrow files, and datasets of pyarrow."""

import datetime
import decimal
import os
import pickle
import re
import sys

import numpy as np
import pytest

from fastbp.sources import as_source

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.dataset")
pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pyarrow.csv")

RNG = np.random.default_rng(0)
N = 60
X = RNG.standard_normal((N, 3)).astype(np.float32)
Y, WEIGHT = RNG.integers(3, size=N), RNG.uniform(1, 2, N)
TABLE = pa.table({"a": X[:, 0], "y": Y, "b": X[:, 1], "w": WEIGHT, "c": X[:, 2]})
#: Writers of a table, in blocks of ten rows
WRITERS = {
    "parquet": lambda table, path: pa.parquet.write_table(table, path, row_group_size=10),
    "arrow": lambda table, path: write_ipc(table, path, pa.ipc.new_file),
    "stream.arrow": lambda table, path: write_ipc(table, path, pa.ipc.new_stream),
    "csv": lambda table, path: pa.csv.write_csv(table, path),
    "csv.gz": lambda table, path: write_compressed(table, path),
}


def write_ipc(table, path, writer):
    with writer(path, table.schema) as file:
        file.write_table(table, max_chunksize=10)


def write_compressed(table, path):
    with pa.CompressedOutputStream(path, "gzip") as file:
        pa.csv.write_csv(table, file)


def joined(blocks, i):
    return np.concatenate([np.asarray(block[i]) for block in blocks])


@pytest.fixture(params=WRITERS)
def path(request, tmp_path):
    """A file of each format."""
    name = str(tmp_path / f"t.{request.param}")
    WRITERS[request.param](TABLE, name)
    return name


def written(tmp_path, table, name="t.parquet"):
    WRITERS["parquet"](table, str(tmp_path / name))
    return str(tmp_path / name)


def test_all_formats(path):
    source = as_source(path, target="y", weight="w", block_rows=20)
    blocks = list(source.blocks())
    dtype = np.float64 if ".csv" in path else np.float32
    np.testing.assert_allclose(joined(blocks, 0), X, rtol=1e-7)  # the text of a float32, as float64, in CSV
    np.testing.assert_array_equal(joined(blocks, 1), Y, strict=True)
    np.testing.assert_array_equal(joined(blocks, 2), WEIGHT, strict=True)
    assert all(block.X.flags.c_contiguous and block.X.dtype == dtype and len(block.X) <= 20 for block in blocks)
    assert source.feature_names == ["a", "b", "c"]
    assert source.n_rows == (None if ".csv" in path or "stream" in path else N)
    assert repr(source) == f"ArrowSource([{path!r}], target='y', weight='w')"
    targets = list(source.targets())
    np.testing.assert_array_equal(joined(targets, 0), Y)
    np.testing.assert_array_equal(joined(targets, 1), WEIGHT)
    again = list(pickle.loads(pickle.dumps(source)).blocks())
    np.testing.assert_array_equal(joined(again, 0), joined(blocks, 0))


def test_columns_are_chosen_by_name(path):
    (first, *_) = as_source(path, columns=["c", "a"], target=["b", "w"]).blocks()
    n = len(first.y)
    np.testing.assert_allclose(first.X, X[:n, [2, 0]], rtol=1e-7)
    np.testing.assert_allclose(first.y, np.column_stack([X[:n, 1], WEIGHT[:n]]), rtol=1e-7)
    assert first.sample_weight is None


def test_parts_are_shuffled(tmp_path):
    for name in ("0", "1"):
        written(tmp_path, TABLE, f"{name}.parquet")
    WRITERS["arrow"](TABLE, str(tmp_path / "0.arrow"))
    for ending, n_parts in (("parquet", 12), ("arrow", 6)):
        source = as_source(str(tmp_path / f"*.{ending}"), target="y", columns=["a", "b", "c"], block_rows=10)
        blocks = list(source.blocks(np.random.default_rng(0)))
        firsts = [int(np.flatnonzero((block.X[0] == X).all(axis=1))[0]) for block in blocks]
        assert len(blocks) == n_parts
        assert sorted(firsts) == sorted(list(range(0, N, 10)) * (n_parts // 6)) != firsts
        np.testing.assert_array_equal(next(source.blocks()).X, X[:10])  # in order again


def test_small_row_groups_are_read_together(tmp_path):
    source = as_source(written(tmp_path, TABLE), target="y", block_rows=25)
    assert [len(block.X) for block in source.blocks()] == [20, 20, 20]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (pa.int8(), "f4"),
        (pa.uint16(), "f4"),
        (pa.float16(), "f4"),
        (pa.bool_(), "f4"),
        (pa.null(), "f4"),
        (pa.int32(), "f8"),
        (pa.uint64(), "f8"),
        (pa.float64(), "f8"),
        (pa.decimal128(5, 2), "f8"),
    ],
)
def test_numbers(tmp_path, kind, dtype):
    values = [1, 0, 1, 1]
    if pa.types.is_decimal(kind):
        values = [decimal.Decimal(value) for value in values]
    if pa.types.is_float16(kind):
        values = [np.float16(value) for value in values]
    if pa.types.is_boolean(kind):
        values = [bool(value) for value in values]
    values[1] = None
    if pa.types.is_null(kind):
        values = [None] * 4
    table = pa.table({"a": pa.array(values, kind), "y": [0, 1, 2, None]})
    ((rows, y, _),) = as_source(written(tmp_path, table), target="y").blocks()
    assert rows.dtype == dtype
    expected = [np.nan] * 4 if pa.types.is_null(kind) else [1, np.nan, 1, 1]
    np.testing.assert_array_equal(rows[:, 0], expected)
    np.testing.assert_array_equal(y, [0, 1, 2, np.nan])
    table = table.set_column(1, "y", table.column("a"))  # as target
    if not pa.types.is_null(kind):
        table = table.rename_columns(["x", "y"])
        ((_, y, _),) = as_source(written(tmp_path, table), target="y").blocks()
        np.testing.assert_array_equal(np.asarray(y, float), expected)


def test_targets_that_are_text(tmp_path):
    names = np.array(["no", "yes", "perhaps"], object)[Y]
    for column in (pa.array(names), pa.array(names).dictionary_encode()):
        source = as_source(written(tmp_path, pa.table({"a": X[:, 0], "y": column})), target="y")
        np.testing.assert_array_equal(joined(list(source.blocks()), 1), names, strict=True)


def test_categories_stay_in_a_frame(tmp_path):
    colours = pa.array(np.array(["red", "green"], object)[Y % 2]).dictionary_encode()
    table = TABLE.append_column("colour", colours)
    source = as_source(written(tmp_path, table), target="y", columns=["colour", "a"], block_rows=25)
    blocks = list(source.blocks())
    assert all(isinstance(block.X, pa.Table) for block in blocks)
    assert blocks[0].X.column_names == ["colour", "a"]
    assert pa.types.is_dictionary(blocks[0].X.schema.field("colour").type)
    assert pa.concat_tables([block.X for block in blocks]).column("a").to_pylist() == X[:, 0].tolist()
    assert source.feature_names is None
    (block, *_) = as_source(written(tmp_path, TABLE), target="y", frames=True).blocks()
    assert block.X.column_names == ["a", "b", "w", "c"]


def test_text_in_csv(tmp_path):
    (tmp_path / "t.csv").write_text("a,y,s\n1,0,x\n,1,\n2.5,1,y\n")
    ((frame, y, _),) = as_source(tmp_path / "t.csv", target="y").blocks()
    assert frame.to_pydict() == {"a": [1, None, 2.5], "s": ["x", None, "y"]}
    np.testing.assert_array_equal(y, np.array([0, 1, 1]), strict=True)


def test_integers_at_the_beginning_of_a_csv_file(tmp_path, monkeypatch):
    monkeypatch.setattr("fastbp.sources.arrow_files.CSV_BYTES", 100)
    (tmp_path / "t.csv").write_text("a,y\n" + "1,0\n" * 100 + "1.5,0\n")
    assert joined(list(as_source(tmp_path / "t.csv", target="y").blocks()), 0)[-1] == 1.5
    (tmp_path / "t.csv").write_text("a,y\n" + "1,0\n" * 100 + "x,0\n")
    with pytest.raises(ValueError, match="invalid value 'x'") as info:
        list(as_source(tmp_path / "t.csv", target="y").blocks())
    assert "pyarrow.dataset.dataset whose CsvFileFormat" in info.value.__notes__[0]
    assert info.value.__notes__[1] == f"raised while {str(tmp_path / 't.csv')!r} was read"


def test_the_index_of_a_data_frame_is_no_feature(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y)
    frame[frame.a > 0].to_parquet(tmp_path / "t.parquet")
    assert as_source(tmp_path / "t.parquet", target="y").feature_names == ["a", "b", "c"]
    frame.to_parquet(tmp_path / "s.parquet")  # with an index that is no column
    assert as_source(tmp_path, target="y").feature_names == ["a", "b", "c"]


def test_a_dataset(tmp_path):
    dataset = pa.dataset
    dataset.write_dataset(
        TABLE,
        tmp_path,
        format="parquet",
        partitioning=dataset.partitioning(pa.schema([("y", pa.int64())]), flavor="hive"),
    )
    whole = dataset.dataset(tmp_path, partitioning="hive")
    source = pickle.loads(pickle.dumps(as_source(whole, columns=["a", "b", "c"], target="y")))
    order = np.argsort(Y, kind="stable")
    blocks = list(source.blocks())
    np.testing.assert_array_equal(joined(blocks, 0), X[order])
    np.testing.assert_array_equal(joined(blocks, 1), Y[order])
    assert source.n_rows == N
    assert repr(source) == "ArrowSource(['pyarrow.dataset'], target='y')"
    shuffled = {tuple(block.y[0] for block in source.blocks(np.random.default_rng(seed))) for seed in range(5)}
    assert (0, 1, 2) in {tuple(sorted(order)) for order in shuffled}
    assert len(shuffled) > 1
    filtered = as_source(whole.filter(dataset.field("y") > 0), columns=["a", "b", "c"], target="y", block_rows=7)
    np.testing.assert_array_equal(joined(list(filtered.blocks()), 0), X[order][Y[order] > 0])
    assert max(len(block.X) for block in filtered.blocks()) <= 7
    memory = as_source(dataset.dataset(TABLE), target="y")
    assert sum(len(y) for y, _ in memory.targets()) == N


def test_a_dataset_of_some_row_groups(tmp_path):
    (fragment,) = pa.dataset.dataset(written(tmp_path, TABLE)).get_fragments()
    some = fragment.subset(row_group_ids=[1, 4])
    dataset = pa.dataset.FileSystemDataset([some, fragment], TABLE.schema, fragment.format, fragment.filesystem)
    source = as_source(dataset, columns=["a", "b", "c"], target="y")
    assert source.n_rows == 20 + N
    np.testing.assert_array_equal(joined(list(source.blocks()), 0), np.vstack([X[10:20], X[40:50], X]))


def raises(match, source, error=ValueError, **options):
    with pytest.raises(error, match=match):
        as_source(source, **options)


def test_names_that_are_refused(path):
    raises("target must be given by the names of columns in these files, got None", path)
    raises("target must be given by the names of columns in these files, got -1", path, target=-1)
    raises("columns must be a list, got 'a'", path, target="y", columns="a")
    raises(r"columns: .* has no column 'd'; it has 'a', 'y', 'b', 'w', 'c'", path, target="y", columns=["d"])
    raises("target: .* has no column 'yy'; it has 'y'", path, target="yy")
    raises("weight: .* has no column 'ww'; it has 'w'", path, target="y", weight="ww")
    raises("name each column once, got 'y' twice", path, target="y", columns=["a", "y"])
    raises("no column is left for X", path, target=["a", "b", "c", "y", "w"])


def test_files_that_are_refused(tmp_path, path):
    with open(path, "r+b") as file:
        file.write(b"\0\0nothing")
        file.truncate(9 if ".csv" not in path else 0)
    raises("source: .* cannot be read as (Parquet|CSV|Arrow)", path, target="y")


def test_files_of_different_columns(tmp_path):
    first = written(tmp_path, TABLE)
    second = written(tmp_path, TABLE.drop_columns(["b"]), "u.parquet")
    raises("same columns: 'b' is in .*t.parquet' and not in .*u.parquet'", [first, second], target="y")
    raises("'b' is in .*t.parquet' and not in .*u.parquet'; columns=.* chooses", [second, first], target="y")
    source = as_source([second, first], columns=["a", "c"], target="y")
    np.testing.assert_array_equal(joined(list(source.blocks()), 0), np.vstack([X, X])[:, [0, 2]])
    second = written(tmp_path, TABLE.set_column(2, "b", pa.array(["1"] * N)), "u.parquet")
    raises("got 'b' of type float in .*t.parquet' and of type string in .*u.parquet'", [first, second], target="y")
    reordered = written(tmp_path, TABLE.select(["c", "b", "a", "y"]), "u.parquet")
    source = as_source([first, reordered], target="y", columns=["a", "b", "c"])
    np.testing.assert_array_equal(joined(list(source.blocks()), 0), np.vstack([X, X]))
    twice = written(tmp_path, pa.table([X[:, 0], X[:, 1], Y], names=["a", "a", "y"]))
    raises("columns must name one column, got 'a', which .* has 2 times", twice, target="y")


DICTIONARY = pa.dictionary(pa.int32(), pa.string())
TEXT = pa.array(["u", None, "v"])
NUMBERS = pa.array([1, None, 0])


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (NUMBERS, NUMBERS.cast(pa.float64()), pa.float64()),
        (NUMBERS.cast(pa.int32()), NUMBERS, pa.int64()),
        (NUMBERS, NUMBERS.cast(pa.uint64()), pa.float64()),
        (pa.array([2**60, None, 0]), NUMBERS.cast(pa.float32()), pa.float64()),
        (NUMBERS.cast(pa.bool_()), NUMBERS.cast(pa.float32()), pa.float32()),
        (NUMBERS.cast(pa.bool_()), NUMBERS.cast(pa.float16()), pa.float32()),
        (NUMBERS.cast(pa.int8()), NUMBERS.cast(pa.float16()), pa.float32()),
        (pa.array([decimal.Decimal("1.5"), None, None]), NUMBERS, pa.float64()),
        (pa.nulls(3), NUMBERS.cast(pa.float32()), pa.float32()),
        (pa.nulls(3), TEXT, pa.string()),
        (pa.nulls(3), TEXT.cast(DICTIONARY), DICTIONARY),
        (TEXT, TEXT.cast(pa.large_string()), pa.large_string()),
        (TEXT.cast(DICTIONARY), TEXT, pa.string()),
        (TEXT.cast(pa.dictionary(pa.int8(), pa.string())), TEXT.cast(DICTIONARY), DICTIONARY),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_types_that_differ_between_files(tmp_path, one, other, common):
    columns = [one, other]
    for order in (columns, columns[::-1]):
        for name, column in zip("01", order, strict=True):
            written(tmp_path, pa.table({"a": column, "b": TEXT, "y": column}), f"{name}.parquet")
        source = as_source(tmp_path, columns=["a", "b"], target="y", frames=True)
        blocks = list(source.blocks())
        frame = pa.concat_tables([block.X for block in blocks])
        assert frame.schema == pa.schema({"a": common, "b": pa.string()})
        assert (
            frame.column("a").to_pylist()
            == pa.concat_arrays([column.cast(common, safe=False) for column in order]).to_pylist()
        )
        assert len({block.y.dtype.kind for block in blocks}) == 1
        assert [len(y) for y, _ in source.targets()] == [3, 3]


def test_types_that_have_none_in_common(tmp_path):
    paths = [str(tmp_path / name) for name in ("t.arrow", "u.arrow")]
    WRITERS["arrow"](pa.table({"a": TEXT.dictionary_encode(), "y": NUMBERS}), paths[0])
    for column in (NUMBERS, NUMBERS.dictionary_encode(), NUMBERS.cast(pa.timestamp("s"))):
        WRITERS["arrow"](pa.table({"a": column, "y": NUMBERS}), paths[1])
        kind = re.escape(str(column.type))
        raises(f"got 'a' of type dictionary.* in .*t.arrow' and of type {kind} in .*u.arrow'", paths, target="y")


@pytest.mark.parametrize("frames", [False, True])
def test_csv_columns_that_are_empty_in_a_file(tmp_path, frames):
    (tmp_path / "0.csv").write_text("a,s,n,y\n1,,,\n")
    (tmp_path / "1.csv").write_text("a,s,n,y\n2.5,x,,0\n")
    (tmp_path / "2.csv").write_text("a,s,n,y\n")
    for order in ("012", "120", "201"):
        source = as_source([tmp_path / f"{name}.csv" for name in order], target="y", frames=frames)
        blocks = [block for block in source.blocks() if len(block.y)]
        frame = pa.concat_tables([block.X for block in blocks])
        assert frame.schema == pa.schema({"a": pa.float64(), "s": pa.string(), "n": pa.float64()})
        rows = {1: (None, None), 2.5: ("x", None)}
        assert {row["a"]: (row["s"], row["n"]) for row in frame.to_pylist()} == rows
        np.testing.assert_array_equal(np.sort(joined(blocks, 1)), [0, np.nan])


def test_csv_columns_that_begin_otherwise_than_in_other_files(tmp_path, monkeypatch):
    monkeypatch.setattr("fastbp.sources.arrow_files.CSV_BYTES", 100)
    begin = {"0": "a,s,y\n" + "1,,0\n" * 100, "1": "a,s,y\n2,x,0.5\n", "2": "a,s,y\ntrue,x,0\n"}
    for name, text in begin.items():
        (tmp_path / f"{name}.csv").write_text(text + "1,x,1.5\n" * (name == "0"))
    blocks = list(as_source(tmp_path, target="y").blocks())
    assert pa.concat_tables([block.X for block in blocks]).slice(99).to_pydict() == {
        "a": [1, 1, 2, 1],
        "s": [None, "x", "x", "x"],
    }
    np.testing.assert_array_equal(joined(blocks, 1)[99:], [0, 1.5, 0.5, 0])


def test_columns_of_other_types(tmp_path):
    text, days = pa.array(["1"] * N), pa.array([datetime.date(2024, 1, 1)] * N)
    path = written(tmp_path, TABLE.append_column("s", text).append_column("d", days))
    raises("target must name columns of numbers, if it names several", path, target=["y", "s"])
    raises("weight must name a column of numbers, got 's', of type string", path, target="y", weight="s")


def test_without_pyarrow(tmp_path, monkeypatch):
    path = written(tmp_path, TABLE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    raises(r"to read Parquet files, fastbp needs pyarrow: pip install 'fastbp\[arrow\]'", path, ImportError, target="y")


def test_memory_is_that_of_a_block(tmp_path, monkeypatch):
    # of one row group of 20 MB, not all bytes of which are read at once: pages of 64 kB, and as much of each column
    monkeypatch.setattr("fastbp.sources.arrow_files.COLUMN_BYTES", 2**16)
    n = 100_000
    path = str(tmp_path / "t.parquet")
    table = pa.table({f"f{i}": RNG.standard_normal(n) for i in range(25)})
    options = {"compression": "none", "use_dictionary": False, "data_page_size": 2**16}
    pa.parquet.write_table(table, path, row_group_size=n, **options)
    del table
    source = as_source(path, target="f0", block_rows=1000)
    before, most = pa.total_allocated_bytes(), 0
    for _ in source.blocks():
        most = max(most, pa.total_allocated_bytes() - before)
    assert os.path.getsize(path) > 20e6
    assert most < 8e6
