"""Sources of blocks: iterables, .npy and .npz files, and what all files have in common."""

import os
import pickle
import time
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from fastbp.sources import Block, Source, as_source
from fastbp.sources.matrix import GROUP, ROWS, transpose

RNG = np.random.default_rng(0)
X, Y, WEIGHT = RNG.standard_normal((50, 4)), RNG.integers(3, size=50), RNG.uniform(1, 2, 50)


def joined(blocks):
    """X, y and sample_weight of all blocks."""
    blocks = list(blocks)
    return [
        None if blocks[0][i] is None else np.concatenate([np.asarray(block[i]) for block in blocks]) for i in range(3)
    ]


def assert_same(blocks, X, y, weight=None):
    """The blocks hold these rows, in this order and of these dtypes."""
    for found, expected in zip(joined(blocks), (X, y, weight), strict=True):
        if expected is None:
            assert found is None
        else:
            np.testing.assert_array_equal(found, expected, strict=True)


class Loader:
    """Gives a new iterator each time."""

    def __iter__(self):
        yield X[:20], Y[:20]
        yield [X[20:], Y[20:]]


class Whole(Source):
    """All rows as one block."""

    n_rows = len(X)

    def blocks(self, generator=None):
        """One block."""
        yield Block(X, Y, WEIGHT)


@pytest.mark.parametrize(
    "source", [Loader(), lambda: iter(Loader()), Loader().__iter__, [(X[:20], Y[:20]), (X[20:], Y[20:])], Loader]
)
def test_iterables_are_read_again_and_again(source):
    source = as_source(source)
    for _ in range(2):
        assert_same(source.blocks(), X, Y)
        assert_same(source.blocks(np.random.default_rng(0)), X, Y)
    assert source.n_rows is None
    assert not source.is_reordered
    assert [len(y) for y, weight in source.targets() if weight is None] == [20, 30]


def test_a_source_of_the_users_own():
    own = Whole()
    own.is_reordered, own.feature_names = True, ["a", "b", "c", "d"]
    source = as_source(own)
    assert as_source(source) is source
    assert (source.n_rows, source.is_reordered, source.feature_names) == (50, True, ["a", "b", "c", "d"])
    assert repr(source) == repr(own)
    assert_same(source.blocks(), X, Y, WEIGHT)
    ((y, weight),) = source.targets()
    assert y is Y
    assert weight is WEIGHT
    with pytest.raises(TypeError, match="Source must define blocks"):
        Source().blocks()


class Tuples(Source):
    """Gives tuples, in another order on demand, which is drawn when a pass begins."""

    is_reordered = True

    def __init__(self, *given):
        self.given = given

    def blocks(self, generator=None):
        """A new iterator."""
        order = range(len(self.given)) if generator is None else generator.permutation(len(self.given))
        return iter([self.given[number] for number in order])


def test_tuples_of_a_source_of_the_users_own():
    source = as_source(Tuples((X[:20], Y[:20]), [X[20:], Y[20:]]))
    assert_same(source.blocks(), X, Y)
    assert [len(y) for y, weight in source.targets() if weight is None] == [20, 30]
    generator = np.random.default_rng(0)
    blocks = source.blocks(generator)
    assert generator.bit_generator.state != np.random.default_rng(0).bit_generator.state
    assert sorted(len(block.X) for block in blocks) == [20, 30]


def test_a_pass_over_a_source_of_the_users_own_is_given_up():
    ended = []

    class Closing(Source):
        def blocks(self, generator=None):
            try:
                yield X, Y
                yield X, Y
            finally:
                ended.append(True)

    blocks = as_source(Closing()).blocks()
    next(blocks)
    assert not ended
    blocks.close()
    assert ended


def test_tensors_become_arrays():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return X

        def __dlpack__(self):
            return X.__dlpack__()

    (block,) = as_source([(Tensor(), Y)]).blocks()
    assert block.X is X
    assert block.y is Y


@pytest.mark.parametrize("source", [iter([(X, Y)]), iter(Loader()), map(tuple, [(X, Y)])])
def test_what_can_be_read_once_only_is_refused(source):
    with pytest.raises(TypeError, match="read once only: give a function that returns it"):
        as_source(source)


@pytest.mark.parametrize("source", [None, 3, 2.5, object()])
def test_what_gives_no_blocks_is_refused(source):
    with pytest.raises(TypeError, match="source must be a function that returns"):
        as_source(source)


@pytest.mark.parametrize(
    ("block", "got"), [(X, "ndarray"), ((X,), "tuple of 1"), ((X, Y, Y, Y), "tuple of 4"), (None, "NoneType")]
)
@pytest.mark.parametrize("own", [list, lambda blocks: Tuples(*blocks)], ids=["list", "Source"])
def test_a_block_that_is_none(block, got, own):
    source = as_source(own([(X, Y), block]))
    for read in (source.blocks, source.targets):
        with pytest.raises(TypeError, match=rf"block 1 of the source must be a tuple \(X, y\).*got {got}"):
            list(read())


@pytest.mark.parametrize("own", [list, lambda blocks: Tuples(*blocks)], ids=["list", "Source"])
def test_a_block_whose_X_has_no_rows(own):
    for wrong, got in ((None, "NoneType"), (1.5, "float"), (np.float64(1), "float64"), (np.array(1), "ndarray")):
        with pytest.raises(TypeError, match=f"block 1 of the source must have an X of rows.* got {got}"):
            list(as_source(own([(X, Y), (wrong, Y)])).blocks())
    for block in ((X[:0], Y), (X[:0], Y[:0], WEIGHT), ([], sparse.csr_array(np.ones((50, 2))))):
        with pytest.raises(ValueError, match=r"block 1 of the source must have as many rows.* none in X and 50 beside"):
            list(as_source(own([(X, Y), block])).blocks())
    assert len(list(as_source(own([(X, Y), (X[:0], Y[:0]), ([], [], [])])).blocks())) == 3


def test_a_function_that_returns_no_iterator():
    with pytest.raises(TypeError, match="must return an iterator of blocks, got NoneType"):
        list(as_source(lambda: None).blocks())


def test_what_an_iterator_raises_says_in_which_block():
    class DiskError(Exception):
        pass

    def blocks():
        yield X, Y
        yield X, Y
        raise DiskError("lost")

    with pytest.raises(DiskError, match="lost") as info:
        list(as_source(blocks).blocks())
    assert info.value.__notes__ == ["raised in block 2 of the source, counted from 0"]


@pytest.mark.parametrize("name", ["columns", "target", "weight", "block_rows"])
def test_arguments_for_files_with_another_source(name):
    for source in (Loader(), Whole()):
        with pytest.raises(ValueError, match=f"{name} is for files: .* got {name}=1"):
            as_source(source, **{name: 1})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i2", "i8", "f2", "?"])
def test_npy(tmp_path, dtype, order):
    matrix = np.asarray(10 * RNG.standard_normal((50, 6)), dtype, order=order)
    np.save(tmp_path / "a.npy", matrix)
    source = as_source(tmp_path / "a.npy", target=-1, weight=2, block_rows=16)
    x_type = np.float32 if dtype in ("f4", "i2", "f2", "?") else np.float64
    y_type = np.float32 if dtype == "f2" else np.dtype(dtype).newbyteorder("=")
    rows = matrix[:, [0, 1, 3, 4]].astype(x_type)
    y, weight = matrix[:, 5].astype(y_type), matrix[:, 2].astype(np.float64)
    assert_same(source.blocks(), rows, y, weight)
    assert [len(block.X) for block in source.blocks()] == [16, 16, 16, 2]
    assert all(block.X.flags.c_contiguous for block in source.blocks())
    np.testing.assert_array_equal(np.concatenate([y for y, _ in source.targets()]), y)
    assert source.n_rows == 50


def test_npy_columns_and_several_targets(tmp_path):
    np.save(tmp_path / "a.npy", X)
    source = as_source(str(tmp_path / "a.npy"), columns=[-1, 0], target=[1, 2])
    assert_same(source.blocks(), X[:, [3, 0]], X[:, [1, 2]])


@pytest.fixture
def folder(tmp_path):
    """Three .npy files of 20, 20 and 10 rows, of which b.npy comes last in the folder's own order."""
    matrix = np.column_stack([X, Y])
    for name, rows in (("c", slice(40, 50)), ("a", slice(20)), ("b", slice(20, 40))):
        np.save(tmp_path / f"{name}.npy", matrix[rows])
    return tmp_path


@pytest.mark.parametrize("how", ["glob", "folder", "folders", "list", "globs"])
def test_files_in_order(folder, how):
    names = [folder / f"{name}.npy" for name in "abc"]
    given = {
        "glob": str(folder / "*.npy"),
        "folder": folder,
        "folders": f"{folder.parent}/{folder.name}*",
        "list": names,
        "globs": [f"{folder}/[ab].npy", names[2]],
    }
    source = as_source(given[how], target=4)
    assert_same(source.blocks(), X, Y.astype(float))
    assert source.n_rows == 50
    assert_same(as_source(names[::-1], target=4).blocks(), *(np.r_[v[40:], v[20:40], v[:20]] for v in (X, 1.0 * Y)))


def test_a_file_that_is_named_twice_is_read_twice(folder):
    np.savez(folder / "a.npz", X=X[:20], y=Y[:20])
    for name, options in (("a.npy", {"target": 4}), ("a.npz", {})):
        source = as_source([folder / name, folder / name], **options)
        np.testing.assert_array_equal(joined(source.blocks())[0], np.vstack([X[:20], X[:20]]))
        assert source.n_rows == 40


@pytest.mark.parametrize("pattern", ["**", "**/*", "**/", "**/*.npy", "[t]*/**"])
def test_a_tree_of_folders_is_read_once(tmp_path, pattern):
    names = ["b.npy", "c/d/a.npy", "e/a.npy"]
    for name, rows in zip(names, (slice(20), slice(20, 40), slice(40, 50)), strict=True):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, X[rows])
    (tmp_path / "tree" / "empty").mkdir()
    root = tmp_path if pattern.startswith("[t]") else tmp_path / "tree"
    source = as_source(f"{root}/{pattern}", target=0)
    np.testing.assert_array_equal(np.concatenate([y for y, _ in source.targets()]), X[:, 0])
    raises(FileNotFoundError, r"no file matches .*empty/\*\*", f"{tmp_path}/tree/empty/**", target=0)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs a list of the open files")
@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.csv", "a.csv.gz", "a.feather", "a.stream.arrow"])
def test_a_pass_that_is_given_up_closes_the_file(tmp_path, name):
    path = str(tmp_path / name)
    if name == "a.npz":
        np.savez(path, X=X, y=Y)
    else:
        write_table(path)
    source = as_source(path, target="y", block_rows=5)
    assert n_opened_at_last(path, 0) == 0  # as_source has looked into it
    blocks = source.blocks()
    next(blocks)
    assert n_opened(path) == 1
    blocks.close()
    assert n_opened_at_last(path, 0) == 0
    assert list(blocks) == []


def n_opened_at_last(path, expected):
    """`n_opened`, as soon as it is as expected, or after ten seconds.

    A thread of pyarrow, which has read ahead, may be the last one to give a file back.
    """
    for _ in range(1000):
        if n_opened(path) == expected:
            break
        time.sleep(0.01)
    return n_opened(path)


def n_opened(path):
    """How many times this process has a file open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.realpath(link) == os.path.realpath(path) for link in links)


def write_table(path):
    """Write X and y to a file of a format of pyarrow, in several blocks."""
    pa = pytest.importorskip("pyarrow")
    for module in ("csv", "parquet", "ipc"):
        pytest.importorskip(f"pyarrow.{module}")
    table = pa.table({"a": X[:, 0], "y": Y})
    if path.endswith(".parquet"):
        pa.parquet.write_table(table, path, row_group_size=10)
    elif ".csv" in path:
        with pa.output_stream(path) as file:  # which compresses .gz
            pa.csv.write_csv(table, file)
    else:
        writer = pa.ipc.new_stream if "stream" in path else pa.ipc.new_file
        with writer(path, table.schema) as file:
            file.write_table(table, max_chunksize=10)


def test_the_order_of_a_pass_is_drawn_when_it_begins(folder):
    generator = np.random.default_rng(0)
    blocks = as_source(folder, target=4, block_rows=5).blocks(generator)  # and not later, in another thread
    state = generator.bit_generator.state
    assert state != np.random.default_rng(0).bit_generator.state
    assert len(list(blocks)) == 10
    assert generator.bit_generator.state == state


def test_parts_are_shuffled(folder):
    source = as_source(folder, target=4, block_rows=5)
    assert source.is_reordered
    orders = []
    for seed in (0, 0, 1):
        blocks = list(source.blocks(np.random.default_rng(seed)))
        orders.append([int(np.flatnonzero((block.X[0] == X).all(axis=1))[0]) for block in blocks])
        rows = np.concatenate([block.X for block in blocks])
        np.testing.assert_array_equal(rows[np.lexsort(rows.T)], X[np.lexsort(X.T)])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(0, 50, 5)) != orders[0]
    assert_same(source.blocks(), X, Y.astype(float))  # which the shuffled passes have not changed


def test_a_source_of_files_is_pickled_and_shown(folder):
    source = as_source(folder, target=4)
    for block, other in zip(source.blocks(), pickle.loads(pickle.dumps(source)).blocks(), strict=True):
        np.testing.assert_array_equal(block.X, other.X)
    path = str(folder / "a.npy")
    assert repr(as_source(path, target=-1)) == f"NpySource([{path!r}], target=4)"
    assert (
        repr(as_source([path] * 4, target=4, weight=3)) == f"NpySource([{path!r}, '...', {path!r}], target=4, weight=3)"
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz(tmp_path, save, order):
    labels = np.array(["no", "yes", "perhaps"])[Y]
    save(tmp_path / "a.npz", X=np.asarray(X, order=order), y=Y, labels=labels, sample_weight=WEIGHT)
    source = as_source(tmp_path / "a.npz", block_rows=30)
    assert_same(source.blocks(), X, Y, WEIGHT)
    assert [len(block.X) for block in source.blocks()] == [30, 20]
    assert source.n_rows == 50
    assert repr(source).endswith("a.npz'], target='y', weight='sample_weight')")
    (target, weight) = next(source.targets())
    np.testing.assert_array_equal(target, Y[:30])
    np.testing.assert_array_equal(weight, WEIGHT[:30])
    source = as_source(tmp_path / "a.npz", target="labels", columns=[2, 0])
    assert_same(source.blocks(), X[:, [2, 0]], labels, WEIGHT)


def test_memory_is_that_of_a_block(tmp_path):
    # 16 MB in each file, of which 1000 rows are 0.2 MB; what is read before the first block is not counted
    matrix = np.zeros((80_000, 50), np.float32)
    np.save(tmp_path / "a.npy", matrix)
    np.savez_compressed(tmp_path / "b.npz", X=matrix, y=matrix[:, 0])
    for name, arguments in (("a.npy", {"target": 0}), ("b.npz", {})):
        source = as_source(tmp_path / name, block_rows=1000, **arguments)
        tracemalloc.start()
        try:
            assert sum(len(block.X) for block in source.blocks()) == 80_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4e6  # two blocks, a buffer of ROWS rows, the reader's own


def test_wide_rows_are_read_in_small_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("fastbp.sources.files.BLOCK_BYTES", 3 * X[0].nbytes)
    np.save(tmp_path / "a.npy", X[:8])
    assert [len(y) for y, _ in as_source(tmp_path / "a.npy", target=0).targets()] == [3, 3, 2]
    monkeypatch.setattr("fastbp.sources.files.BLOCK_BYTES", 1)
    assert [len(y) for y, _ in as_source(tmp_path / "a.npy", target=0).targets()] == [1] * 8


def raises(error, match, *arguments, **options):
    with pytest.raises(error, match=match):
        as_source(*arguments, **options)


def test_paths_that_name_no_files(tmp_path, folder):
    raises(FileNotFoundError, r"source: there is no file .*none.npy", tmp_path / "none.npy", target=0)
    raises(FileNotFoundError, r"source: no file matches .*x\*.npy", str(tmp_path / "x*.npy"), target=0)
    (tmp_path / "sub").mkdir()
    raises(ValueError, "holds no file that ends with .npy", tmp_path / "sub", target=0)
    raises(ValueError, r"got 's3://.*pyarrow.dataset.dataset", "s3://bucket/a.parquet", target="y")
    (tmp_path / "a.txt").write_text("a")
    raises(ValueError, r"a.txt' must end with .npy, .npz", tmp_path / "a.txt", target=0)
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    raises(
        ValueError, r"of one format, got .* \(npy\) and .* \(npz\)", [folder / "a.npy", tmp_path / "a.npz"], target=0
    )
    raises(ValueError, "block_rows must be None or an integer >= 1, got 0", folder, target=0, block_rows=0)


def test_npy_files_that_are_refused(tmp_path):
    def saved(array):
        np.save(tmp_path / "a.npy", array)
        return tmp_path / "a.npy"

    raises(ValueError, "must hold a matrix of real numbers, got shape", saved(Y), target=0)
    raises(ValueError, "must hold a matrix of real numbers.*dtype complex", saved(X + 1j), target=0)
    raises(ValueError, r"fields \['a', 'b'\].*structured_to_unstructured", saved(np.zeros(3, "f4,f4").astype(
        [("a", "f4"), ("b", "f4")])), target=0)  # fmt: skip
    path = saved(X)
    raises(ValueError, "target must be the number of the column.*got None", path)
    raises(ValueError, "target must be a column of .*which has 4, got 4", path, target=4)
    raises(ValueError, "target must be the number of a column.*got 'y'", path, target=["y"])
    raises(ValueError, "weight must be the number of a column.*got 'w'", path, target=0, weight="w")
    raises(ValueError, "columns must be a list, got 3", path, target=0, columns=3)
    raises(ValueError, "name each column once, got 0 twice", path, target=0, columns=[1, 0])
    raises(ValueError, "no column is left for X, of 4", path, target=[0, 1, 2, 3])
    np.save(tmp_path / "b.npy", X[:, :3])
    raises(ValueError, "with the same columns, got 4 in .* and 3 in .*b.npy", tmp_path, target=0)
    path.write_bytes(b"no npy")
    raises(ValueError, r"source: .*a.npy' cannot be read as .npy", path, target=0)
    os.truncate(saved(X), 300)
    raises(ValueError, "is not whole: it has 300 bytes of", path, target=0)


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    np.save(tmp_path / "a.npy", X)
    blocks = as_source(tmp_path / "a.npy", target=0, block_rows=10).blocks()
    next(blocks)
    os.truncate(tmp_path / "a.npy", 600)
    with pytest.raises(ValueError, match="the file has ended too early") as info:
        list(blocks)
    assert info.value.__notes__ == [f"raised while {str(tmp_path / 'a.npy')!r} was read"]


def test_npz_files_that_are_refused(tmp_path):
    def saved(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    raises(ValueError, r"must hold an array 'X', it holds \['data', 'y'\]", saved(data=X, y=Y))
    raises(ValueError, "'y' .*must have a row for each of X, which has 50, got shape", saved(X=X, y=Y[:3]))
    raises(ValueError, "'y' .*holds Python objects", saved(X=X, y=Y.astype(object)))
    path = saved(X=X, y=Y)
    raises(ValueError, "must hold an array 'w'", path, weight="w")
    raises(ValueError, "target must be the name of an array in .npz files, got -1", path, target=-1)
    raises(ValueError, "columns must be a column of 'X' in .*a.npz', which has 4, got 4", path, columns=[4])
    raises(ValueError, "columns must be the number of a column of 'X' in .*, got True", path, columns=[0, True])
    raises(ValueError, "columns must be the number of a column of 'X' in .*, got 'a'", path, columns=["a"])
    raises(ValueError, "name each column once, got 3 twice", path, columns=[3, -1])
    raises(ValueError, "no column is left for X, of 4 in 'X' in .*a.npz'", path, columns=[])
    path.write_bytes(b"no zip")
    raises(ValueError, "a.npz' cannot be read as .npz", path)


@pytest.mark.parametrize("n_columns", [1, GROUP, GROUP + 1, 2 * GROUP])
def test_transpose(n_columns):
    matrix = RNG.standard_normal((ROWS + 3, n_columns))
    out = np.full_like(matrix, np.nan)
    transpose(list(np.asfortranarray(matrix).T), out)
    np.testing.assert_array_equal(out, matrix)
