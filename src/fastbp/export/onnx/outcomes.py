"""What the methods of an estimator return, as tensors of an ONNX graph.

A function of an outcome takes the outcome, the network's output and the output before the output activation, both of
shape (n, n_outputs), and returns a tensor. Names and shapes of the tensors are those of skl2onnx: label of shape (n,),
probabilities (n, n_classes), variable (n, n_columns).
"""

from functools import partial

import numpy as np

from fastbp.export.onnx.activations import exp, logistic, softmax, softplus
from fastbp.export.onnx.tensors import BOOL, INT64
from fastbp.export.onnx.tensors import TEXT as TEXT_DTYPE
from fastbp.export.outcomes import (
    BOOLEANS,
    FLOATS,
    INTEGERS,
    TEXT,
    ColumnsOfClasses,
    Indicators,
    ManyClasses,
    MixtureOfClasses,
    MixtureOfNumbers,
    NormalDistribution,
    OneClass,
    Quantiles,
    TwoClasses,
    Values,
)

#: Kind of class labels -> dtype of their tensor
DTYPES_OF_LABELS = {INTEGERS: INT64, BOOLEANS: BOOL, FLOATS: np.dtype(np.float64), TEXT: TEXT_DTYPE}


def labels_at(numbers, labels):
    """The labels of classes.

    Parameters
    ----------
    numbers : Tensor of int64 of shape (n,)
        Of the classes.
    labels : Labels

    Returns
    -------
    Tensor of shape (n,)
    """
    return numbers.graph.constant(labels.values, DTYPES_OF_LABELS[labels.kind]).gather(numbers)


def log_logistic(z):
    """The logarithm of the logistic function, as `predict_log_proba`: of its value where z > 0, else from z."""
    return logistic(z).apply("Log").where(z > 0, -softplus(-z))


def same(outcome, output, raw):
    """The output itself."""
    return output


def quantiles(outcome, output, raw):
    """The sums of the smallest quantile and positive steps."""
    steps = softplus(raw.columns(range(1, outcome.n_columns)))
    return raw.columns([0]).concatenate(steps).apply("CumSum", raw.graph.constant(1, INT64))


def means(outcome, output, raw):
    """The first half of the columns."""
    return output.columns(range(outcome.n_columns))


def deviations(outcome, output, raw):
    """hypot(r, e) with ``r = exp(s / 2)`` and ``e = sqrt(epsilon)``: the larger one times the square root of 1 + the
    square of the quotient, which is finite where r^2 is not."""
    n = outcome.n_columns
    root = exp(output.columns(range(n, 2 * n)) * 0.5)
    smallest = np.sqrt(outcome.epsilon)
    larger, smaller = root.apply("Max", smallest), root.apply("Min", smallest)
    quotient = smaller / larger
    return larger * (1 + quotient * quotient).apply("Sqrt")


def zeros(output):
    """0 for each row: an int64 Tensor of shape (n, 1)."""
    return output.is_nan().cast(INT64).sum() * 0


def the_label(outcome, output, raw):
    """The same class for all rows."""
    return labels_at(zeros(output).reshape(-1), outcome.labels)


def certainty(outcome, output, raw):
    """A column of ones."""
    return 1 + zeros(output).cast(output.dtype)


def log_certainty(outcome, output, raw):
    """A column of zeros."""
    return zeros(output).cast(output.dtype)


def label_of_two(outcome, output, raw):
    """The second class where its probability is above 1/2."""
    return labels_at((output > 0.5).cast(INT64).reshape(-1), outcome.labels)


def probabilities_of_two(outcome, output, raw):
    """1 - p and p."""
    return (1 - output).concatenate(output)


def log_probabilities_of_two(outcome, output, raw):
    """The logarithms of 1 - p and p."""
    return log_logistic(-raw).concatenate(log_logistic(raw))


def label_of_largest(outcome, output, raw):
    """The class of the largest output."""
    return labels_at(output.argmax(), outcome.labels)


def log_probabilities(outcome, output, raw):
    """The logarithm of softmax."""
    return raw.apply("LogSoftmax", axis=1)


def indicators(outcome, output, raw):
    """1 where the output is above 1/2, else 0."""
    return (output > 0.5).cast(INT64)


def log_indicators(outcome, output, raw):
    """The logarithm of the logistic function."""
    return log_logistic(raw)


def tempered(p, temperature):
    """p^(1 / T) of each row, divided by the sum: the softmax of log(p) / T."""
    return p if temperature == 1 else softmax(p.apply("Log") / temperature)


def mixed_probabilities(outcome, mixture, raw):
    """The mixture with the temperature."""
    return tempered(mixture, outcome.temperature)


def mixed_log_probabilities(outcome, mixture, raw):
    """The logarithm of these."""
    return mixed_probabilities(outcome, mixture, raw).apply("Log")


def mixed_numbers(outcome, mixture, raw):
    """In the units of y, within its range."""
    return (mixture * outcome.deviation + outcome.mean).clip(outcome.lowest, outcome.highest)


def lower(outcome, mixture, raw, coverage):
    """The lower ends of the intervals."""
    return mixed_numbers(outcome, mixture, raw) - outcome.half_width(coverage)


def upper(outcome, mixture, raw, coverage):
    """The upper ends of the intervals."""
    return mixed_numbers(outcome, mixture, raw) + outcome.half_width(coverage)


def of_classes(label, probabilities, log_probabilities):
    """The methods of a classifier."""
    return {
        "predict": {"label": label},
        "predict_proba": {"probabilities": probabilities},
        "predict_log_proba": {"log_probabilities": log_probabilities},
    }


#: Class of outcome -> {method: {name of tensor: function of (outcome, output, raw)}}
METHODS = {
    Values: {method: {"variable": same} for method in ("predict", "transform", "forward")},
    Quantiles: {"predict": {"variable": quantiles}},
    NormalDistribution: {"predict": {"variable": means}, "return_std": {"std": deviations}},
    OneClass: of_classes(the_label, certainty, log_certainty),
    TwoClasses: of_classes(label_of_two, probabilities_of_two, log_probabilities_of_two),
    ManyClasses: of_classes(label_of_largest, same, log_probabilities),
    Indicators: of_classes(indicators, same, log_indicators),
    MixtureOfClasses: of_classes(label_of_largest, mixed_probabilities, mixed_log_probabilities),
    MixtureOfNumbers: {
        "predict": {"variable": mixed_numbers},
        "predict_interval": {"lower": lower, "upper": upper},
    },
}
#: The same for each of ColumnsOfClasses, of whose part of the output both arguments are the raw one
METHODS_OF_COLUMN = of_classes(label_of_largest, lambda column, output, raw: softmax(raw), log_probabilities)


def tensors_of(outcome, method, coverage):
    """The tensors of a method.

    Parameters
    ----------
    outcome : object
        Of a description.
    method : str
        Among its methods.
    coverage : float
        Of "predict_interval".

    Returns
    -------
    dict of str to function
        Name -> function of (output, raw).
    """
    if isinstance(outcome, ColumnsOfClasses):
        return {
            f"{name}_{number}": partial(of_part, function, column, part)
            for name, function in METHODS_OF_COLUMN[method].items()
            for number, (column, part) in enumerate(zip(outcome.columns, outcome.parts, strict=True))
        }
    options = {"coverage": coverage} if method == "predict_interval" else {}
    functions = METHODS[type(outcome)][method]
    return {name: partial(function, outcome, **options) for name, function in functions.items()}


def of_part(function, column, part, output, raw):
    """A function of a column of labels, on its part of the output."""
    own = raw.columns(range(part.start, part.stop))
    return function(column, own, own)


def dtype_of(name, outcome, dtype):
    """The dtype of a tensor: of labels their own, of numbers the given one."""
    if not name.startswith("label"):
        return dtype
    return INT64 if isinstance(outcome, Indicators) else DTYPES_OF_LABELS[part_of(name, outcome).labels.kind]


def shape_of(name, outcome):
    """The shape of a tensor, where n stands for the rows."""
    outcome = part_of(name, outcome)
    if hasattr(outcome, "n_columns"):
        return ["n", outcome.n_columns]
    return ["n"] if name.startswith("label") else ["n", len(outcome.labels.values)]


def part_of(name, outcome):
    """The column of several columns of labels to which a tensor belongs; else the outcome itself."""
    return outcome.columns[int(name.rpartition("_")[2])] if isinstance(outcome, ColumnsOfClasses) else outcome
