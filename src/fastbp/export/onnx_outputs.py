"""What the methods of an estimator return, as tensors of an ONNX graph.

A function of an outcome takes the outcome, the network's output and the output before the output activation, both of
shape (n, n_outputs), and returns a dict of the names of the tensors to the tensors. Names and shapes are those of
skl2onnx: label of shape (n,), probabilities (n, n_classes), variable (n, n_columns).
"""

import numpy as np

from fastbp.export.onnx_activations import exp, logistic, softmax, softplus
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
from fastbp.export.tensors import BOOL, INT64
from fastbp.export.tensors import TEXT as TEXT_DTYPE

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


def log_softmax(z):
    """The logarithm of softmax."""
    return z.apply("LogSoftmax", axis=1)


def variable(outcome, output, raw):
    """The output itself."""
    return {"variable": output}


def quantiles(outcome, output, raw):
    """The sums of the smallest quantile and positive steps."""
    steps = softplus(raw.columns(range(1, outcome.n_columns)))
    axis = raw.graph.constant(1, INT64)
    return {"variable": raw.columns([0]).concatenate(steps).apply("CumSum", axis)}


def means(outcome, output, raw):
    """The first half of the columns."""
    return {"variable": output.columns(range(outcome.n_columns))}


def deviations(outcome, output, raw):
    """hypot(r, e) with ``r = exp(s / 2)`` and ``e = sqrt(epsilon)``: the larger one times the square root of 1 + the
    square of the quotient, which is finite where r^2 is not."""
    n = outcome.n_columns
    root = exp(output.columns(range(n, 2 * n)) * 0.5)
    smallest = np.sqrt(outcome.epsilon)
    larger, smaller = root.apply("Max", smallest), root.apply("Min", smallest)
    quotient = smaller / larger
    return {"std": larger * (1 + quotient * quotient).apply("Sqrt")}


def zeros(output):
    """0 for each row: an int64 Tensor of shape (n,)."""
    return output.is_nan().cast(INT64).sum(axis=1, keepdims=False) * 0


def the_label(outcome, output, raw):
    """The same class for all rows."""
    return {"label": labels_at(zeros(output), outcome.labels)}


def certainty(outcome, output, raw):
    """A column of ones."""
    return {"probabilities": 1 + zeros(output).reshape(-1, 1).cast(output.dtype)}


def log_certainty(outcome, output, raw):
    """A column of zeros."""
    return {"log_probabilities": zeros(output).reshape(-1, 1).cast(output.dtype)}


def label_of_two(outcome, output, raw):
    """The second class where its probability is above 1/2."""
    return {"label": labels_at((output > 0.5).cast(INT64).reshape(-1), outcome.labels)}


def probabilities_of_two(outcome, output, raw):
    """1 - p and p."""
    return {"probabilities": (1 - output).concatenate(output)}


def log_probabilities_of_two(outcome, output, raw):
    """The logarithms of 1 - p and p."""
    return {"log_probabilities": log_logistic(-raw).concatenate(log_logistic(raw))}


def label_of_largest(outcome, output, raw):
    """The class of the largest output."""
    return {"label": labels_at(output.argmax(), outcome.labels)}


def probabilities(outcome, output, raw):
    """The output itself."""
    return {"probabilities": output}


def log_probabilities(outcome, output, raw):
    """log_softmax of the raw output."""
    return {"log_probabilities": log_softmax(raw)}


def indicators(outcome, output, raw):
    """1 where the output is above 1/2, else 0."""
    return {"label": (output > 0.5).cast(INT64)}


def log_indicators(outcome, output, raw):
    """The logarithm of the logistic function of the raw output."""
    return {"log_probabilities": log_logistic(raw)}


def for_each_column(name, function):
    """A function of ColumnsOfClasses from one of (ManyClasses, raw part), whose tensor is called `name` for a column;
    of the columns they are called name_0, name_1, ..."""

    def of_columns(outcome, output, raw):
        found = {}
        for number, (column, part) in enumerate(zip(outcome.columns, outcome.parts, strict=True)):
            own = raw.columns(range(part.start, part.stop))
            found[f"{name}_{number}"] = function(column, own)
        return found

    return of_columns


def mixed_probabilities(outcome, mixture, raw):
    """p^(1 / T), divided by the sum."""
    return {"probabilities": tempered(mixture, outcome.temperature)}


def mixed_log_probabilities(outcome, mixture, raw):
    """Their logarithms."""
    return {"log_probabilities": tempered(mixture, outcome.temperature).apply("Log")}


def tempered(p, temperature):
    """p^(1 / T) of each row, divided by the sum: the softmax of log(p) / T."""
    return p if temperature == 1 else softmax(p.apply("Log") / temperature)


def middle(outcome, mixture):
    """The predictions of MixtureOfNumbers in the units of y, within its range."""
    return (mixture * outcome.deviation + outcome.mean).clip(outcome.lowest, outcome.highest)


def mixed_numbers(outcome, mixture, raw):
    """The predictions."""
    return {"variable": middle(outcome, mixture)}


#: Class of outcome -> {method: function of (outcome, output, raw)}
METHODS = {
    Values: dict.fromkeys(("predict", "transform", "forward"), variable),
    Quantiles: {"predict": quantiles},
    NormalDistribution: {"predict": means, "return_std": deviations},
    OneClass: {"predict": the_label, "predict_proba": certainty, "predict_log_proba": log_certainty},
    TwoClasses: {
        "predict": label_of_two,
        "predict_proba": probabilities_of_two,
        "predict_log_proba": log_probabilities_of_two,
    },
    ManyClasses: {
        "predict": label_of_largest,
        "predict_proba": probabilities,
        "predict_log_proba": log_probabilities,
    },
    Indicators: {"predict": indicators, "predict_proba": probabilities, "predict_log_proba": log_indicators},
    ColumnsOfClasses: {
        "predict": for_each_column("label", lambda column, raw: labels_at(raw.argmax(), column.labels)),
        "predict_proba": for_each_column("probabilities", lambda column, raw: softmax(raw)),
        "predict_log_proba": for_each_column("log_probabilities", lambda column, raw: log_softmax(raw)),
    },
    MixtureOfClasses: {
        "predict": label_of_largest,
        "predict_proba": mixed_probabilities,
        "predict_log_proba": mixed_log_probabilities,
    },
    MixtureOfNumbers: {"predict": mixed_numbers},
}


def interval(outcome, mixture, coverage):
    """The tensors of `predict_interval` of a MixtureOfNumbers."""
    half = outcome.half_width(coverage)
    center = middle(outcome, mixture)
    return {"lower": center - half, "upper": center + half}
