"""A member of an ensemble: an ordinary estimator with the layers, the optimizer and the schedules of a cycle."""

from fastbp.activations import Blend
from fastbp.estimators.tabular.presets import of_rows
from fastbp.layers import (
    Activation,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    OneHot,
    Periodic,
    PiecewiseLinear,
    RobustScale,
    Scale,
    SelectColumns,
)
from fastbp.optimizers import AdamW
from fastbp.schedules import FlatCosine, WarmupCosine
from fastbp.training.batches import even_batch_size

#: Categories of more levels are embedded, others are one-hot
ONE_HOT_LEVELS = 9
#: batch_size='auto': rows to train on from which so many rows make a batch
BATCH_SIZES = ((8000, 256), (4000, 128), (1000, 64), (0, 32))
#: Factors of the learning rate, but for those of the weights, which are 1 / sqrt(fan_in)
BIAS_FACTOR, ACTIVATION_FACTOR, SCALE_FACTOR, EMBEDDING_FACTOR = 0.1, 0.1, 6.0, 0.3
#: Share of the steps in which the learning rate rises
WARMUP = 0.05
#: Share of the steps in which dropout and weight decay are constant
FLAT = 0.5


def layers_of(cycle, encoder, numeric_embedding):
    """The hidden layers of a member.

    Parameters
    ----------
    cycle : Cycle
    encoder : TableEncoder
    numeric_embedding : {"piecewise_linear", "periodic"} or None

    Returns
    -------
    list of Layer
    """
    branches = category_branches(cycle, encoder)
    if len(encoder.binary_columns):
        branches.append(SelectColumns(encoder.binary_columns.tolist()))
    if len(encoder.numeric_columns):
        branches.append(numeric_layer(cycle, encoder.numeric_columns.tolist(), numeric_embedding))
    layers = [Concatenate(branches), Scale(learning_rate_factor=SCALE_FACTOR, penalty_factor=SCALE_FACTOR)]
    for units in cycle.hidden_layer_sizes:
        layers.append(Dense(units, parametrization="ntk", bias_learning_rate_factor=BIAS_FACTOR))
        layers.append(Activation(Blend(cycle.activation), learning_rate_factor=ACTIVATION_FACTOR))
        layers.append(Dropout(cycle.dropout))
    return layers


def category_branches(cycle, encoder):
    """What reads the categories: one-hot numbers of few levels, scaled as numbers are, and embeddings of many."""
    found = list(zip(encoder.categorical_columns.tolist(), encoder.n_levels.tolist(), strict=True))
    few = [(column, n) for column, n in found if n <= ONE_HOT_LEVELS]
    many = [(column, n) for column, n in found if n > ONE_HOT_LEVELS]
    branches = []
    if few:
        columns, levels = zip(*few, strict=True)
        branches.append([OneHot(levels, columns), RobustScale()])
    if many:
        columns, levels = zip(*many, strict=True)
        branches.append(Embedding(levels, cycle.embedding_width, columns, learning_rate_factor=EMBEDDING_FACTOR))
    return branches


def numeric_layer(cycle, numbers, embedding):
    """What reads the numbers."""
    if embedding is None:
        return RobustScale(columns=numbers)
    options = {"width": cycle.embedding_width, "columns": numbers, "learning_rate_factor": EMBEDDING_FACTOR}
    if embedding == "periodic":
        return Periodic(**options)
    return PiecewiseLinear(bins=cycle.n_bins, **options)


def batch_size_of(cycle, n_rows):
    """Rows of a batch, so that the last batch is hardly shorter than the others."""
    size = cycle.batch_size
    if size == "auto":
        size = of_rows(BATCH_SIZES, n_rows)
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
        output_layer=Dense(None, parametrization="ntk", bias_learning_rate_factor=BIAS_FACTOR),
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
