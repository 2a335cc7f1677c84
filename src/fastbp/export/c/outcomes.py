"""What methods make of a network's output, as functions in C: one entry for each class of `fastbp.export.outcomes`.

In the templates, ``raw`` is a pointer to the output before the output activation, ``y`` to what the caller gets.
"""

from dataclasses import dataclass

import numpy as np

from fastbp.export.c.source import Function
from fastbp.export.c.text import double, literal
from fastbp.export.outcomes import (
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
from fastbp.kernels.graph import NAMES

PREDICT = "The class of a row: the place of its label in @classes; -1 if the output is not finite."
PROBABILITIES = "The probability of each class: {n} numbers."
LOG_PROBABILITIES = "The logarithms of @predict_proba: finite also where a probability rounds to 0."


@dataclass(frozen=True)
class Model:
    """What the functions of a model need.

    Attributes
    ----------
    source : Source
    real : {"float", "double"}
        Of x and of the results.
    raw : list of str
        The statements that declare `raw`, in templates.
    link : str
        Name of the output activation.
    coverage : float or None
        Of intervals.
    """

    source: object
    real: str
    raw: list
    link: str
    coverage: float | None = None

    def function(self, name, outputs, body, comment, result="void", raw=None):
        """A Function that reads x, and writes to `outputs`: declarations."""
        arguments = ["const real *x", *outputs, "@work *work"]
        return Function(name, arguments, [*(self.raw if raw is None else raw), *body], comment, result)

    def functions(self, outcome):
        """The functions of an outcome: a list of Function."""
        return OUTCOMES[type(outcome)](self, outcome)

    def predict(self, body, comment=PREDICT):
        """The function of a classifier that returns the number of a class."""
        return self.function("predict", [], body, comment, "int32_t")


#: Method -> what a function of this name gives
MEANINGS = {"predict": "The prediction of a row", "transform": "The code of a row", "forward": "The output for a row"}


def values(model, outcome):
    """The output itself."""
    (name,) = outcome.methods
    n, comment = outcome.n_columns, MEANINGS[name]
    link = "copy" if model.link == "identity" else model.link
    if not outcome.is_flat:
        return [model.function(name, ["real *y"], [f"@{link}(raw, {n}, y);"], f"{comment}: {n} numbers.")]
    if link == "copy":
        return [model.function(name, [], ["return raw[0];"], f"{comment}.", "real")]
    return [model.function(name, [], ["real y;", f"@{link}(raw, 1, &y);", "return y;"], f"{comment}.", "real")]


def quantiles(model, outcome):
    """Quantiles that never cross."""
    n = outcome.n_columns
    body = [f"@quantiles(raw, {n}, y);"]
    comment = f"The quantiles of the target of a row, in ascending order: {n} numbers."
    return [model.function("predict", ["real *y"], body, comment)]


def normal(model, outcome):
    """Means and standard deviations."""
    n = outcome.n_columns
    root = literal(np.dtype("f4" if model.real == "float" else "f8").type(np.sqrt(outcome.epsilon)))
    both = [
        f"@copy(raw, {n}, mean);",
        f"for (int32_t i = 0; i < {n}; i++)",
        f"    std[i] = hypot(exp(0.5 * raw[{n} + i]), {root});",
    ]
    comment = f"The mean and the standard deviation of a row, as predict(X, return_std=True): {n} numbers each."
    return [
        *values(model, Values(("predict",), n, outcome.is_flat)),
        model.function("predict_with_std", ["real *mean", "real *std"], both, comment),
    ]


def one_class(model, outcome):
    """What there is to say of the only class."""
    unused = ["(void)x, (void)work;"]
    return [
        model.function("predict", [], ["return 0;"], PREDICT, "int32_t", raw=unused),
        model.function("predict_proba", ["real *y"], ["y[0] = 1.0;"], PROBABILITIES.format(n=1), raw=unused),
        model.function("predict_log_proba", ["real *y"], ["y[0] = 0.0;"], LOG_PROBABILITIES, raw=unused),
    ]


def two_classes(model, outcome):
    """A logistic unit."""
    logs = ["y[0] = @log_logistic(-raw[0]);", "y[1] = @log_logistic(raw[0]);"]
    return [
        model.predict(["return @is_positive(raw[0]);"]),
        model.function("predict_proba", ["real *y"], ["@two_probabilities(raw[0], y);"], PROBABILITIES.format(n=2)),
        model.function("predict_log_proba", ["real *y"], logs, LOG_PROBABILITIES),
    ]


def many_classes(model, outcome):
    """A softmax, which does not change the order of the outputs."""
    n = len(outcome.labels.values)
    return [
        model.predict([f"return @argmax(raw, {n});"]),
        model.function("predict_proba", ["real *y"], [f"@softmax(raw, {n}, y);"], PROBABILITIES.format(n=n)),
        model.function("predict_log_proba", ["real *y"], [f"@log_softmax(raw, {n}, y);"], LOG_PROBABILITIES),
    ]


def indicators(model, outcome):
    """A logistic unit for each label."""
    n = outcome.n_columns
    each = f"for (int32_t i = 0; i < {n}; i++)"
    logs = [each, "    y[i] = @log_logistic(raw[i]);"]
    return [
        model.function(
            "predict",
            ["int32_t *y"],
            [each, "    y[i] = @is_positive(raw[i]);"],
            f"1 for each label that a row has, 0 for the others, -1 if an output is no number: {n} numbers.",
        ),
        model.function("predict_proba", ["real *y"], [f"@logistic(raw, {n}, y);"], f"Of each label: {n} numbers."),
        model.function("predict_log_proba", ["real *y"], logs, LOG_PROBABILITIES),
    ]


def columns_of_classes(model, outcome):
    """A softmax for each column of labels."""
    ends = np.array([0, *(part.stop for part in outcome.parts)])
    n, total = len(outcome.parts), int(ends[-1])
    starts = model.source.array("first_outputs", ends)
    each = f"for (int32_t i = 0; i < {n}; i++)"
    part = f"raw + {starts}[i], {starts}[i + 1] - {starts}[i]"
    names = "in @classes_0, @classes_1 and so on" if n > 1 else "in @classes_0"
    return [
        model.function(
            "predict",
            ["int32_t *y"],
            [each, f"    y[i] = @argmax({part});"],
            f"For each column of labels the place of the label {names}, -1 if an output is not finite: {n} numbers.",
        ),
        model.function(
            "predict_proba",
            ["real *y"],
            [each, f"    @softmax({part}, y + {starts}[i]);"],
            f"The probabilities of the classes of all columns, one column after the other: {total} numbers.",
        ),
        model.function(
            "predict_log_proba",
            ["real *y"],
            [each, f"    @log_softmax({part}, y + {starts}[i]);"],
            LOG_PROBABILITIES,
        ),
    ]


def mixture_of_classes(model, outcome):
    """Mixed probabilities, with a temperature, which does not change their order."""
    n = len(outcome.labels.values)
    tempered = f"@copy(raw, {n}, y);"
    if outcome.temperature != 1:
        tempered = f"@tempered(raw, {n}, {double(1 / outcome.temperature)}, y);"
    logs = [tempered, f"for (int32_t i = 0; i < {n}; i++)", "    y[i] = log(y[i]);"]
    return [
        model.predict([f"return @argmax(raw, {n});"]),
        model.function("predict_proba", ["real *y"], [tempered], PROBABILITIES.format(n=n)),
        model.function("predict_log_proba", ["real *y"], logs, "The logarithms of @predict_proba."),
    ]


def mixture_of_numbers(model, outcome):
    """Numbers within the range of the targets."""
    n = outcome.n_columns
    numbers = {"mean": outcome.mean, "deviation": outcome.deviation, "low": outcome.lowest, "high": outcome.highest}
    arrays = {name: model.source.array(f"target_{name}", array) for name, array in numbers.items()}

    def target(i):
        return "@clipped(raw[{i}] * {deviation}[{i}] + {mean}[{i}], {low}[{i}], {high}[{i}])".format(i=i, **arrays)

    each = f"for (int32_t i = 0; i < {n}; i++)"
    if outcome.is_flat:
        functions = [model.function("predict", [], [f"return {target(0)};"], "The prediction of a row.", "real")]
    else:
        body = [each, f"    y[i] = {target('i')};"]
        functions = [model.function("predict", ["real *y"], body, f"The prediction of a row: {n} numbers.")]
    if model.coverage is not None:
        half = model.source.array("half_width", np.array(outcome.half_width(model.coverage), np.float64))
        body = [
            f"{each} {{",
            f"    const real middle = {target('i')};",
            f"    lower[i] = middle - {half}[i];",
            f"    upper[i] = middle + {half}[i];",
            "}",
        ]
        comment = (
            f"The interval that contains the target with a probability of about {model.coverage:g}: {n} numbers each."
        )
        functions.append(model.function("predict_interval", ["real *lower", "real *upper"], body, comment))
    return functions


#: Class of outcomes -> list of Function, for a Model and an outcome
OUTCOMES = {
    Values: values,
    Quantiles: quantiles,
    NormalDistribution: normal,
    OneClass: one_class,
    TwoClasses: two_classes,
    ManyClasses: many_classes,
    Indicators: indicators,
    ColumnsOfClasses: columns_of_classes,
    MixtureOfClasses: mixture_of_classes,
    MixtureOfNumbers: mixture_of_numbers,
}


def link_of(network):
    """The name of the output activation of a ForwardPass."""
    return NAMES[network.operations[-1].argument]
