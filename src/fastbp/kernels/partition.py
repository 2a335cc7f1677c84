"""Division of the work of a training step: rows of the batch, tiles of the parameters, slots.

The division depends on the shapes only; the shares of the threads also depend on their number. The results do not
depend on which thread computes them.
"""

import numpy as np

# A tile is a whole number of register blocks high, and holds at least so many parameters, where the block has them.
TILE_ROWS = 8
TILE_PARAMETERS = 512
# Tiles of a large block are high enough for packing panels of gradients, and narrow enough for the caches.
LARGE_ROWS = 96
LARGE_COLUMNS = 192
# The table of an embedding is divided into so many tiles at most, because each looks at the codes of the whole batch.
TABLE_TILES = 16
# Columns of a tile that has all rows
TILE_COLUMNS = 64
# Number of slots, and the largest number of bytes of all their gradients.
N_SLOTS = 4
SLOT_BYTES = 512 * 1024

TILE = np.dtype([(name, np.int64) for name in ("block", "row_begin", "row_end", "col_begin", "col_end")])


def ceil_div(a, b):
    """a / b, rounded up; for a >= 0."""
    return -(-a // b)


def n_slots_for(program, capacity, block_rows):
    """The number of slots for a step of `capacity` rows; 0 for none.

    Parameters
    ----------
    program : Program
    capacity : int
    block_rows : int
        Rows of the matrix product's register block.

    Returns
    -------
    int
    """
    graph = program.graph
    n_params, itemsize = graph.n_params, program.dtype.itemsize
    units = sum(fan_out for _, fan_out in graph.dense_shapes)
    exchanged = capacity * (graph.n_features + 2 * units)  # values and gradients of nodes that phase 2 reads
    if (
        capacity >= N_SLOTS * 4 * block_rows
        and N_SLOTS * n_params <= exchanged
        and N_SLOTS * n_params * itemsize <= SLOT_BYTES
        and program.is_by_rows
    ):
        return N_SLOTS
    return 0


def tiles_of(program, has_slots):
    """The tiles of all blocks that are trained.

    Parameters
    ----------
    program : Program
    has_slots : bool
        Whether gradients go through slots.

    Returns
    -------
    structured ndarray of TILE
    """
    tiles = []
    for number, block in enumerate(program.graph.blocks):
        if not program.graph.groups[block.group].trained:
            continue
        n_rows, n_columns = block.rows, block.cols
        rows, columns = TILE_ROWS * ceil_div(TILE_PARAMETERS, TILE_ROWS * n_columns), n_columns
        kind = program.graph.operations[block.operation].kind
        is_large = n_rows >= LARGE_ROWS and n_columns > LARGE_COLUMNS
        if kind == "embedding":
            rows = max(rows, TILE_ROWS * ceil_div(n_rows, TILE_ROWS * TABLE_TILES))
        elif kind == "dense" and is_large and not program.is_sparse and not has_slots:
            rows, columns = LARGE_ROWS, LARGE_COLUMNS
        tiles += [
            (number, row, min(row + rows, n_rows), column, min(column + columns, n_columns))
            for row in range(0, n_rows, rows)
            for column in range(0, n_columns, columns)
        ]
    return np.array(tiles, TILE)


class Tiling:
    """The tiles of a program, and what follows from them.

    Parameters
    ----------
    program : Program
    has_slots : bool
        Whether gradients go through slots.
    n_threads : int

    Attributes
    ----------
    tiles : structured ndarray of TILE, read-only
    starts : ndarray of int64 of shape (n_threads + 1,), read-only
        The first tile of each thread, and the end.
    groups : ndarray of int64 of shape (n_tiles,), read-only
        The parameter group of each tile.
    blocks : list of int
        The blocks that have tiles.
    largest : int
        Parameters of the largest tile.
    """

    def __init__(self, program, has_slots, n_threads):
        self.tiles = tiles_of(program, has_slots)
        if not len(self.tiles):
            raise ValueError("the network has no parameters that are trained: add a layer with weights, such as Dense")
        self.starts = shares_of(self.tiles, n_threads)
        self.groups = program.blocks["group"][self.tiles["block"]]
        self.blocks = np.unique(self.tiles["block"]).tolist()
        self.largest = int(sizes_of(self.tiles).max())
        for array in (self.tiles, self.starts, self.groups):
            array.flags.writeable = False


def tiling_of(program, has_slots, n_threads):
    """The `Tiling` with these arguments; kept in the program for later plans."""
    key = has_slots, n_threads
    found = program.tilings.get(key)
    if found is None:  # two threads may make one each, which are alike
        found = program.tilings[key] = Tiling(program, has_slots, n_threads)
    return found


def columns_of(program, blocks):
    """Tiles of whole columns.

    Parameters
    ----------
    program : Program
    blocks : sequence of Block
        Matrices of the program's graph.

    Returns
    -------
    structured ndarray of TILE
    """
    tiles = [
        (program.graph.blocks.index(block), 0, block.rows, column, min(column + TILE_COLUMNS, block.cols))
        for block in blocks
        for column in range(0, block.cols, TILE_COLUMNS)
    ]
    return np.array(tiles, TILE)


def shares_of(tiles, n_threads):
    """The first tile of each thread, and the end, for about equal numbers of parameters.

    Parameters
    ----------
    tiles : structured ndarray of TILE
    n_threads : int

    Returns
    -------
    ndarray of int64 of shape (n_threads + 1,)
    """
    sizes = sizes_of(tiles)
    done = sizes.cumsum()
    shares = (done - sizes / 2).searchsorted(done[-1] * np.arange(1, n_threads) / n_threads)
    return np.array([0, *shares, len(tiles)], np.int64)


def sizes_of(tiles):
    """The number of parameters of each tile."""
    return (tiles["row_end"] - tiles["row_begin"]) * (tiles["col_end"] - tiles["col_begin"])
