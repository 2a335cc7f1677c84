"""How a step is dealt out: tiles, slots and shares; `partition.py`."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import Network
from fastbp.kernels.dispatch import table_facts
from fastbp.kernels.partition import (
    LARGE_COLUMNS,
    LARGE_ROWS,
    N_SLOTS,
    TILE_PARAMETERS,
    TILE_ROWS,
    ceil_div,
    n_slots_for,
    shares_of,
    sizes_of,
    tiles_of,
    tiling_of,
)
from fastbp.kernels.program import TRAINING
from fastbp.layers import Dense, Residual, Scale
from layer_cases import STACKS, random_stack

BLOCK_ROWS = table_facts(np.float32)["block_rows"]
CASES = {
    **STACKS,
    "at the edge of large": (LARGE_ROWS, [Dense(LARGE_COLUMNS), Dense(LARGE_COLUMNS + 1), Dense(2 * LARGE_COLUMNS)]),
    "very narrow": (3000, [Dense(1)]),
    "very wide": (1, [Dense(3000), Scale(), Dense(1)]),
    **{f"random {seed}": random_stack(seed) for seed in range(20)},
}
every_case = pytest.mark.parametrize("case", CASES)


def program(case, dtype=np.float32, sparse=False):
    n_features, layers = CASES[case] if isinstance(case, str) else case
    network = Network(layers=layers, n_features=n_features, dtype=dtype, initializer=None)
    return network.program(TRAINING, sparse=sparse)


def counts(tiles, compiled):
    """How often each parameter is covered."""
    found = np.zeros(compiled.graph.n_params, int)
    for tile in tiles:
        block = compiled.graph.blocks[tile["block"]]
        assert 0 <= tile["row_begin"] < tile["row_end"] <= block.rows
        assert 0 <= tile["col_begin"] < tile["col_end"] <= block.cols
        part = found[block.offset : block.offset + block.size].reshape(block.rows, block.cols)
        part[tile["row_begin"] : tile["row_end"], tile["col_begin"] : tile["col_end"]] += 1
    return found


def trained(compiled):
    """Which blocks are trained, and how many tiles should cover each parameter: one, or none."""
    graph = compiled.graph
    numbers = [number for number, block in enumerate(graph.blocks) if graph.groups[block.group].trained]
    covered = np.zeros(graph.n_params, int)
    for number in numbers:
        graph.blocks[number].view(covered)[...] = 1
    return numbers, covered


@pytest.mark.parametrize("has_slots", [False, True])
@every_case
def test_tiles_cover_every_parameter_once(case, has_slots):
    compiled = program(case)
    tiles = tiles_of(compiled, has_slots)
    _, expected = trained(compiled)
    assert_array_equal(counts(tiles, compiled), expected)
    assert sizes_of(tiles).sum() == expected.sum()
    for tile in tiles:
        block = compiled.graph.blocks[tile["block"]]
        assert tile["row_begin"] % TILE_ROWS == 0  # no register block is cut
        is_whole = (tile["col_begin"], tile["col_end"]) == (0, block.cols)
        # slots are summed in runs of whole rows
        assert is_whole or (not has_slots and block.rows >= LARGE_ROWS and block.cols > LARGE_COLUMNS)
        if is_whole and tile["row_end"] < block.rows:
            assert sizes_of(tile) >= TILE_PARAMETERS


def test_only_large_blocks_are_cut_into_columns():
    tiles = tiles_of(program("at the edge of large"), False)
    assert (tiles[tiles["block"] == 0]["col_begin"] == 0).all()
    for block, width in ((2, LARGE_COLUMNS + 1), (4, 2 * LARGE_COLUMNS)):
        own = tiles[tiles["block"] == block]
        assert set(own["col_begin"]) == {0, LARGE_COLUMNS}
        assert own["col_end"].max() == width
        assert (own["row_end"] - own["row_begin"]).max() == LARGE_ROWS


def test_the_columns_of_sparse_data_are_not_cut():
    compiled = program((LARGE_ROWS, [Dense(2 * LARGE_COLUMNS), Dense(2)]), sparse=True)
    tiles = tiles_of(compiled, False)
    assert (counts(tiles, compiled) == 1).all()
    assert (tiles["col_begin"] == 0).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8, 50])
@every_case
def test_shares(case, n_threads):
    tiles = tiles_of(program(case), False)
    shares = shares_of(tiles, n_threads)
    assert (shares.shape, shares.dtype) == ((n_threads + 1,), np.int64)
    assert (shares[0], shares[-1]) == (0, len(tiles))
    assert (np.diff(shares) >= 0).all()
    sizes = sizes_of(tiles)
    work = [sizes[begin:end].sum() for begin, end in pairwise(shares)]
    assert sum(work) == sizes.sum()
    # both ends of a share are within half a tile of where they should be
    assert max(work) <= sizes.sum() / n_threads + sizes.max()


# Slots


def test_slots_are_for_small_networks_and_large_batches():
    fewest = N_SLOTS * 4 * BLOCK_ROWS
    compiled = program("slots")
    assert n_slots_for(compiled, 200, BLOCK_ROWS) == N_SLOTS
    assert n_slots_for(compiled, fewest - 1, BLOCK_ROWS) == 0
    assert n_slots_for(program("wide"), 10_000, BLOCK_ROWS) == 0
    # more parameters than numbers are exchanged
    n_params = compiled.graph.n_params
    exchanged = 6 + 2 * (9 + 9 + 2)
    needed = ceil_div(N_SLOTS * n_params, exchanged)
    assert n_slots_for(compiled, max(needed, fewest), BLOCK_ROWS) == N_SLOTS
    if needed > fewest:
        assert n_slots_for(compiled, needed - 1, BLOCK_ROWS) == 0


def test_sparse_data_have_no_slots():
    case = (6, [Dense(9, "tanh"), Dense(2)])
    assert n_slots_for(program(case), 1000, BLOCK_ROWS) == N_SLOTS
    assert n_slots_for(program(case, sparse=True), 1000, BLOCK_ROWS) == 0


@pytest.mark.parametrize(("a", "b", "expected"), [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (7, 1, 7)])
def test_ceil_div(a, b, expected):
    assert ceil_div(a, b) == expected


def test_residuals_are_no_parameters():
    plain, residual = program((4, [Dense(4)])), program((4, [Residual([Dense(4)])]))
    assert tiles_of(plain, False).tolist() == tiles_of(residual, False).tolist()


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("has_slots", [False, True])
def test_tiling_is_kept(has_slots, n_threads):
    compiled = program("very wide")
    tiling = tiling_of(compiled, has_slots, n_threads)
    tiles = tiles_of(compiled, has_slots)
    assert_array_equal(tiling.tiles, tiles)
    assert_array_equal(tiling.starts, shares_of(tiles, n_threads))
    assert_array_equal(tiling.groups, compiled.blocks["group"][tiles["block"]])
    assert tiling.blocks == sorted(set(tiles["block"].tolist()))
    assert tiling.largest == sizes_of(tiles).max()
    assert not any(array.flags.writeable for array in (tiling.tiles, tiling.starts, tiling.groups))
    assert tiling_of(compiled, has_slots, n_threads) is tiling
    assert tiling_of(compiled, has_slots, n_threads + 1) is not tiling


def test_few_tilings_are_kept():
    """However many sizes of batches there are."""
    network = Network([3, 4, 1], random_state=0)
    for n_rows in range(1, 200, 10):
        network.loss_and_gradient(np.ones((n_rows, 3)), np.ones(n_rows))
    assert len(network.program(TRAINING, True).tilings) == 2
