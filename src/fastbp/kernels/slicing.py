"""How many rows go through a program at once, and how often Python may deliver signals.

What work costs is counted in floating-point operations that would take as long. Beside the products with the weights
there is a cost for each step and each row of a dense operation, for each number of its output, and for the update of
each parameter.
"""

#: Floating-point operations between two checks for signals: a tenth of a second on a slow core.
FLOPS_BETWEEN_CHECKS = 200_000_000.0

STEP_COST = 1000
ROW_COST = 100
OUTPUT_COST = 20
UPDATE_COST = 10

# Training: a batch that costs more is divided into slices of about SLICE_COST, between which Python can deliver
# signals. With fewer rows, adding the gradients would take longer; more rows would only need more memory. Both costs
# are for vectors of NARROWEST_VECTOR bytes, and grow with the vectors, so that the time between two checks is about the
# same, half a second on one core. A slice more reads and writes all gradients once more.
LARGEST_STEP = 8e9
SLICE_COST = 4e9
NARROWEST_VECTOR = 16
FEWEST_SLICE_ROWS = 128
MOST_SLICE_ROWS = 4096

# Batches that cannot be divided, and updates that take so long, are worked on in pieces of this cost.
PIECE_COST = 1e9
# Rows and columns of a part of the products that transform a gradient: EDGE in orthogonalize.h
PART_EDGE = 96

# Prediction: the values of a slice of rows stay in the second-level cache; with fewer rows the weights would be read
# too often.
PREDICTION_BYTES = 512 * 1024
FEWEST_PREDICTION_ROWS = 32
MOST_PREDICTION_ROWS = 256
# Rows are divided into so many chunks per thread. A thread that starts early takes more of them.
CHUNKS_PER_THREAD = 4

# Gradients of a whole data set, and derivatives: the activations of a slice of rows stay in the second-level cache, and
# its rows are enough to make the adding up of gradients cheap. A team divides the rows of a slice of gradients, and
# waits at its end: with 256 rows, one thread was as fast as two for 64-100-10.
GRADIENT_ROWS = 512
DERIVATIVE_ROWS = 256
# Derivatives of deep networks have slices of fewer rows, so that their activations take at most so many bytes: with 200
# layers of 32 units a vjp costs four forward passes in slices of 256 rows, and two in slices of 64.
FEWEST_DERIVATIVE_ROWS = 32
DERIVATIVE_BYTES = 3 * 1024 * 1024
# Gradients of derivatives are added up in so many partial sums, each over consecutive slices.
PARTIAL_SUMS = 4


def units_between_checks(flops):
    """How many units of work, steps or slices of `flops` operations each, are done between two checks for signals."""
    return int(FLOPS_BETWEEN_CHECKS / min(max(flops, 1.0), FLOPS_BETWEEN_CHECKS))


def cost_of_row(program, passes, nonzeros):
    """What one row costs.

    Parameters
    ----------
    program : Program
    passes : float
        Products with each weight: 1 forward, 3 in training.
    nonzeros : float
        Of the row's features.

    Returns
    -------
    float
    """
    cost = 0.0
    for op in program.graph.operations:
        if op.kind in ("dense", "dense_int8"):
            fan_in, fan_out = program.graph.blocks[op.first_block].shape
            inputs = nonzeros if op.input == 0 else fan_in
            cost += 2 * passes * inputs * fan_out + ROW_COST + OUTPUT_COST * fan_out
        elif op.kind != "activation":
            cost += OUTPUT_COST * program.graph.widths[op.output]
        if op.kind == "periodic":
            omega, _, V, _, _ = program.graph.blocks_of(op)
            cost += 2 * passes * V.size + OUTPUT_COST * omega.size
    return cost


def rows_of_slice(row_cost, batch_size, block_rows, vector_bytes):
    """How many rows of a batch go through a training step at once: all, unless that would take long.

    Parameters
    ----------
    row_cost : float
        What a row costs in training: see `cost_of_row`.
    batch_size : int
    block_rows : int
        Rows of the matrix product's register block.
    vector_bytes : int
        Of a vector of the instruction set.

    Returns
    -------
    int
    """
    speed = vector_bytes / NARROWEST_VECTOR
    largest = LARGEST_STEP * (speed if batch_size <= MOST_SLICE_ROWS else 1)  # more rows would need more memory
    if batch_size * row_cost <= largest:
        return batch_size
    most = max(FEWEST_SLICE_ROWS, min(MOST_SLICE_ROWS, speed * SLICE_COST / row_cost))
    return min(batch_size, -(-int(most) // block_rows) * block_rows)


def pieces_of_batch(row_cost, batch_size):
    """Into how many pieces each phase of a step is divided, if all rows of the batch must go through it at once."""
    cost = batch_size * row_cost
    return 1 if cost <= LARGEST_STEP else int(-(-cost // PIECE_COST))


def parts_between_checks(update_flops, shapes, n_threads):
    """How many parts of the products that transform gradients are done between two checks for signals.

    Parameters
    ----------
    update_flops : float
        Operations of all transforms of a step.
    shapes : list of (int, int)
        Of the matrices whose gradients are transformed.
    n_threads : int

    Returns
    -------
    int
        A multiple of `n_threads`; 0: all parts, because a step takes little time.
    """
    if update_flops <= LARGEST_STEP or not shapes:
        return 0
    part_flops = 2.0 * PART_EDGE**2 * max(map(max, shapes))
    return n_threads * int(max(1, PIECE_COST // (part_flops * n_threads)))


def step_cost(program, row_cost, rows):
    """What a training step of so many rows costs."""
    graph = program.graph
    return STEP_COST * len(graph.dense_operations) + rows * row_cost + UPDATE_COST * graph.n_params


def rows_of_prediction(program):
    """How many rows go through a forward pass at once."""
    row_bytes = program.dtype.itemsize * max(program.value_columns, 1)
    return max(FEWEST_PREDICTION_ROWS, min(MOST_PREDICTION_ROWS, PREDICTION_BYTES // row_bytes))


def rows_of_shared_prediction(program, n_rows, n_threads):
    """The same where the threads of a team share the rows."""
    chunk_rows = -(-n_rows // (CHUNKS_PER_THREAD * n_threads))
    return min(rows_of_prediction(program), max(FEWEST_PREDICTION_ROWS, chunk_rows))


def rows_of_gradient(n_rows):
    """How many rows go through a training step at once where the gradient of `n_rows` rows is wanted."""
    return min(GRADIENT_ROWS, n_rows)


def rows_of_derivative(program):
    """How many rows a `Linearization` has."""
    row_bytes = program.dtype.itemsize * sum(fan_out for _, fan_out in program.graph.dense_shapes)
    return max(FEWEST_DERIVATIVE_ROWS, min(DERIVATIVE_ROWS, DERIVATIVE_BYTES // max(1, row_bytes)))


def n_partial_sums(n_slices):
    """In how many partial sums the gradients of so many slices are added up."""
    return max(1, min(PARTIAL_SUMS, n_slices))
