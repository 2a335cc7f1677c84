"""A member of an ensemble: an ordinary estimator with the layers, the optimizer and the schedules of a cycle."""

from math import sqrt
from typing import NamedTuple

from fastbp.activations import Blend
from fastbp.estimators.tabular.presets import of_rows
from fastbp.layers import (
    Activation,
    Dense,
    Dropout,
    Embedding,
    Periodic,
    PiecewiseLinear,
    RobustScale,
    Scale,
    SelectColumns,
    Sum,
)
from fastbp.optimizers import AdamW
from fastbp.schedules import FlatCosine, WarmupCosine
from fastbp.training.batches import even_batch_size

#: More columns of numbers than these are not embedded: the first fully connected layer would take most of the time
MOST_EMBEDDED = 100
#: batch_size='auto': rows to train on from which so many rows make a batch. With few rows, the number of steps is what
#: is short
BATCH_SIZES = ((8000, 256), (4000, 128), (1000, 64), (200, 32), (0, 16))
#: Factors of the learning rate, but for those of the weights, which are 1 / sqrt(fan_in)
BIAS_FACTOR, ACTIVATION_FACTOR, SCALE_FACTOR, EMBEDDING_FACTOR = 0.1, 0.1, 6.0, 0.3
#: Share of the steps in which the learning rate rises
WARMUP = 0.05
#: Share of the steps in which dropout and weight decay are constant
FLAT = 0.5


class Columns(NamedTuple):
    """The columns that a network reads.

    Attributes
    ----------
    numbers, pairs, categories : list of int
        Columns of numbers, of -1 and 1, and of codes.
    levels : list of int
        Of each of the categories.
    """

    numbers: list
    pairs: list
    categories: list
    levels: list


def columns_of(encoder, rows):
    """The columns of a table that are of use.

    A column of numbers that are all alike, or all missing, is left out: it tells nothing, and what was not trained must
    not count where it differs later. If there is no other column, all are read.

    Parameters
    ----------
    encoder : TableEncoder
    rows : Rows
        To train on.

    Returns
    -------
    Columns
    """
    numbers = encoder.numeric_columns
    of_use = [column for column in numbers.tolist() if not rows.is_constant(column)]
    pairs, categories = encoder.binary_columns.tolist(), encoder.categorical_columns.tolist()
    if not (of_use or pairs or categories):
        of_use = numbers.tolist()
    return Columns(of_use, pairs, categories, encoder.n_levels.tolist())


def layers_of(cycle, columns, numeric_embedding):
    """The hidden layers of a member.

    Parameters
    ----------
    cycle : Cycle
    columns : Columns
    numeric_embedding : {"piecewise_linear", "periodic"} or None

    Returns
    -------
    list of Layer
    """
    layers = []
    for number, units in enumerate(cycle.hidden_layer_sizes):
        layers.append(dense(units) if number else first_layer(units, cycle, columns, numeric_embedding))
        layers.append(Activation(Blend(cycle.activation), learning_rate_factor=ACTIVATION_FACTOR))
        layers.append(Dropout(cycle.dropout))
    return layers


def dense(units):
    """A fully connected layer, or with None that of the output."""
    return Dense(units, parametrization="ntk", bias_learning_rate_factor=BIAS_FACTOR)


def first_layer(units, cycle, columns, numeric_embedding):
    """The first fully connected layer: a sum of what numbers, numbers with two values, and categories bring.

    The weights of categories are rows of a table that are looked up, which is the same as a fully connected layer on
    one-hot numbers, without the product.
    """
    numbers, pairs, categories, levels = columns
    # of a one-hot number, by the neural tangent parametrization
    factor = 1 / sqrt(2 * len(pairs) + sum(levels)) if pairs or levels else 1.0
    terms = []
    if numbers:
        scale = Scale(learning_rate_factor=SCALE_FACTOR, penalty_factor=SCALE_FACTOR)
        terms.append([numeric_layer(cycle, numbers, numeric_embedding), scale, dense(units)])
    if pairs:
        own = Dense(
            units,
            learning_rate_factor=factor,
            penalty_factor=0.0,
            bias_learning_rate_factor=BIAS_FACTOR / factor,
        )
        terms.append([SelectColumns(pairs), own])
    if categories:
        terms.append([Embedding(levels, units, categories, combine="sum", learning_rate_factor=factor)])
    return Sum(terms)


def numeric_layer(cycle, columns, embedding):
    """What reads the numbers."""
    if embedding is None or len(columns) > MOST_EMBEDDED:
        return RobustScale(columns)
    options = {"width": cycle.embedding_width, "columns": columns, "learning_rate_factor": EMBEDDING_FACTOR}
    if embedding == "periodic":
        return Periodic(**options)
    return PiecewiseLinear(bins=cycle.n_bins, **options)


def batch_size_of(cycle, n_rows):
    """Rows of a batch, so that the last batch is hardly shorter than the others."""
    size = cycle.batch_size
    if size == "auto":
        size = int(cycle.batch_factor * of_rows(BATCH_SIZES, n_rows))
    return even_batch_size(n_rows, min(size, n_rows))


def model_of(cls, cycle, layers, n_rows, **params):
    """An estimator for a cycle of a member.

    Parameters
    ----------
    cls : type
        MLPClassifier or MLPRegressor.
    cycle : Cycle
    layers : list of Layer
    n_rows : int
        To train on.
    **params : object
        Further parameters of the estimator.

    Returns
    -------
    MLPClassifier or MLPRegressor
    """
    return cls(
        layers=layers,
        output_layer=dense(None),
        solver=AdamW(beta_1=0.9, beta_2=0.95, epsilon=1e-8, weight_decay=cycle.weight_decay),
        alpha=0.0,
        learning_rate=WarmupCosine(warmup=WARMUP, overlap=True),
        learning_rate_init=cycle.learning_rate_init,
        weight_decay_schedule=FlatCosine(FLAT),
        dropout_schedule=FlatCosine(FLAT),
        weight_init="data_dependent_random_bias",
        batch_size=batch_size_of(cycle, n_rows),
        max_iter=cycle.epochs,
        dtype="float32",
        **params,
    )
