"""How many rows go through a program at once; `slicing.py`."""

from pathlib import Path

import numpy as np
import pytest

import fastbp.kernels.slicing as slicing
from fastbp import Network
from fastbp.kernels.program import DERIVATIVES, PREDICTION, TRAINING
from fastbp.layers import Dense, Periodic


def program(purpose, *layer_sizes, dtype=np.float32):
    return Network(layer_sizes, dtype=dtype, initializer=None).program(purpose)


def test_units_between_checks():
    assert slicing.units_between_checks(1e6) == 200
    assert slicing.units_between_checks(1e12) == 1
    assert slicing.units_between_checks(0) == 2e8  # activations alone count nothing


def test_the_cost_of_a_row_counts_products_and_outputs():
    made = program(TRAINING, 20, 100, 2)
    products = 20 * 100 + 100 * 2
    beside = slicing.cost_of_row(made, 0, 20)
    assert slicing.cost_of_row(made, 3, 20) == 6 * products + beside
    assert slicing.cost_of_row(made, 3, 5) == 6 * (products - 15 * 100) + beside  # of a sparse row
    made = Network(layers=[Periodic(30, 20), Dense(1)], n_features=4, initializer=None).program(TRAINING)
    products = 4 * (30 * 20 + 21)
    assert slicing.cost_of_row(made, 3, 4) == 6 * products + slicing.cost_of_row(made, 0, 4)


@pytest.mark.parametrize(
    ("layer_sizes", "batch_size", "fewest", "most"),
    [
        ((64, 100, 10), 200, 200, 200),
        ((500, 1500, 1500, 1), 6_000, 128, 400),
        ((100, 100, 1), 400_000, 4096, 4200),
    ],
)
def test_rows_of_a_slice(layer_sizes, batch_size, fewest, most):
    row_cost = slicing.cost_of_row(program(TRAINING, *layer_sizes), 3, layer_sizes[0])
    rows = slicing.rows_of_slice(row_cost, batch_size, 8, slicing.NARROWEST_VECTOR)
    assert fewest <= rows <= most
    assert rows == batch_size or rows % 8 == 0


def test_rows_of_a_slice_grow_with_the_vectors():
    row_cost = slicing.cost_of_row(program(TRAINING, 500, 1500, 1500, 1), 3, 500)
    narrow, wide = (slicing.rows_of_slice(row_cost, 6_000, 8, width) for width in (16, 64))
    assert 3.9 * narrow < wide < 4.1 * narrow  # both are rounded up to a multiple of 8
    batch_size = int(3.9 * slicing.LARGEST_STEP / row_cost)
    assert slicing.rows_of_slice(row_cost, batch_size, 8, 64) == batch_size
    assert slicing.rows_of_slice(row_cost, batch_size, 8, 32) < batch_size


def test_rows_of_a_prediction():
    assert slicing.rows_of_prediction(program(PREDICTION, 20, 100, 2)) == 256
    wide = slicing.rows_of_prediction(program(PREDICTION, 20, 1500, 2))
    assert 64 < wide < 256
    assert slicing.rows_of_prediction(program(PREDICTION, 20, 1500, 2, dtype=np.float64)) == wide // 2
    assert slicing.rows_of_prediction(program(PREDICTION, 20, 30_000, 2)) == 32


def test_rows_that_a_team_shares():
    made = program(PREDICTION, 20, 100, 2)
    assert slicing.rows_of_shared_prediction(made, 100_000, 2) == 256
    assert slicing.rows_of_shared_prediction(made, 800, 2) == 100  # four chunks for each thread
    assert slicing.rows_of_shared_prediction(made, 10, 2) == 32


def test_rows_of_gradients_and_derivatives():
    assert [slicing.rows_of_gradient(n) for n in (10, 512, 1000)] == [10, 512, 512]
    assert slicing.rows_of_derivative(program(DERIVATIVES, 20, 100, 2)) == 256
    assert 32 < slicing.rows_of_derivative(program(DERIVATIVES, *[32] * 200)) < 256
    assert slicing.rows_of_derivative(program(DERIVATIVES, *[1000] * 200)) == 32


def test_partial_sums():
    assert [slicing.n_partial_sums(n) for n in (0, 1, 3, 4, 100)] == [1, 1, 3, 4, 4]


def test_pieces_of_a_batch():
    assert slicing.pieces_of_batch(1e6, 8_000) == 1
    assert slicing.pieces_of_batch(1e6, 8_001) == 9
    assert slicing.pieces_of_batch(1e6, 10**6) == 1000


def test_parts_between_checks():
    assert slicing.parts_between_checks(8e9, [(1000, 100)], 2) == 0
    assert slicing.parts_between_checks(1e12, [], 2) == 0
    parts = slicing.parts_between_checks(1e12, [(1000, 100), (200, 3000)], 4)
    assert parts % 4 == 0
    assert 0.5e9 < parts * 2 * 96**2 * 3000 <= 1e9
    assert slicing.parts_between_checks(1e15, [(10**6, 100)], 4) == 4


def test_a_part_is_a_tile_of_the_products():
    header = Path(slicing.__file__).with_name("orthogonalize.h").read_text("utf-8")
    assert f"#define EDGE {slicing.PART_EDGE}\n" in header
