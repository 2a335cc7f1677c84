"""What can be wrong with predictions."""

import numpy as np

from fastbp.inspection.reports.calibration import error_by_chance, expected_error, reliability
from fastbp.inspection.reports.page.numbers import count, listed, percent
from fastbp.inspection.reports.rules import ENOUGH_ROWS

#: A class with fewer rows than this may well be predicted for none of them.
ENOUGH_OF_A_CLASS = 5

#: Expected calibration error (Guo et al., 2017, On calibration of modern neural networks, equation 3) from which on
#: probabilities should not be taken at their word: they are off by so much more on average than chance would have it.
LARGEST_CALIBRATION_ERROR = 0.1

#: Rows from which on calibration and coverage can be told
ENOUGH_FOR_SHARES = 100

#: The share of rows that an interval covers is off by so much, and by so many standard deviations.
LARGEST_COVERAGE_ERROR, CERTAIN = 0.1, 3.0

#: What to try if too few rows are covered, and if too many are
TOO_NARROW = [
    "early_stopping=True with scoring='loss', or a larger alpha: intervals of a network that overfits are too narrow",
    "predict_interval of TabularMLPRegressor, whose intervals are made from rows that were held out",
    "rows from the same source as those in training",
]
TOO_WIDE = [
    "a report of rows that the model was not trained on: errors on training rows are smaller than those to expect",
    "more epochs or more units, if the network has not learned all that it could",
]


def not_finite(evidence):
    """Predictions that are no numbers."""
    failure = evidence.outcome.failure
    if failure is None:
        return None
    return (
        "Predictions are not finite",
        failure,
        [
            "scale X, and look for huge numbers in it",
            "a smaller learning_rate_init, or clip_norm=1.0, if the weights have become huge",
            "dtype='float64'",
        ],
    )


def no_better_than_constant(evidence):
    """A constant prediction is as good."""
    if evidence.subject.n < ENOUGH_ROWS or not evidence.outcome.varies:
        return None
    score, constant = evidence.score, evidence.constant_score
    if not np.isfinite(score) or score > constant or score == 1 or not evidence.predicts_centre:
        return None
    return (
        "The model is no better than a constant",
        f"{evidence.score_name} on these rows is {evidence.in_words(score)}; the best constant prediction has "
        f"{evidence.in_words(constant)}.",
        [
            "the other warnings of this report: they may say why nothing was learned",
            "a look at the rows: the same columns as in training, in the same order and units",
            *(["balanced accuracy, if classes are imbalanced"] if evidence.outcome.has_classes else []),
        ],
    )


def class_never_predicted(evidence):
    """A class with rows, none of which is predicted as it, nor any other."""
    if not evidence.outcome.has_classes:
        return None
    missing = [
        f"{part.name}: {part.classes[i]}" if part.name else part.classes[i]
        for part in evidence.outcome.parts
        for i in np.flatnonzero(np.bincount(part.true, minlength=len(part.classes)) >= ENOUGH_OF_A_CLASS)
        if not (part.predicted == i).any()
    ]
    if not missing:
        return None
    return (
        "A class is never predicted" if len(missing) == 1 else "Classes are never predicted",
        f"There are rows of {'this class' if len(missing) == 1 else 'these classes'}, but no predictions: "
        f"{listed(missing)}.",
        [
            "class_weight='balanced'",
            "more rows of the class",
            "another threshold for its predict_proba",
        ],
    )


def miscalibrated(evidence):
    """Probabilities that do not come true."""
    if not evidence.outcome.has_classes or evidence.subject.n < ENOUGH_FOR_SHARES:
        return None
    weight = evidence.subject.sample_weight
    found = [(reliability(part, weight), part) for part in evidence.outcome.parts]
    bins, part = max(found, key=lambda one: expected_error(one[0]) - error_by_chance(one[0]))
    if not expected_error(bins) - error_by_chance(bins) > LARGEST_CALIBRATION_ERROR:
        return None
    claimed = np.average(part.probabilities[np.arange(len(part.true)), part.predicted], weights=weight)
    came_true = np.average(part.true == part.predicted, weights=weight)
    sure = "too sure of itself" if claimed > came_true else "not sure enough"
    return (
        "The probabilities are off",
        f"They differ from how often they come true by {percent(expected_error(bins))} on average. The model is "
        f"{sure}: it gives the classes that it predicts a probability of {percent(claimed)}, and {percent(came_true)} "
        "of them are right.",
        [
            "CalibratedClassifierCV of scikit-learn around the model",
            "early_stopping=True with scoring='loss', or a larger alpha, if the network overfits",
            "no label_smoothing and no class_weight, which change what the probabilities mean",
        ],
    )


def intervals_off(evidence):
    """Intervals that cover too few rows, or too many."""
    coverage = evidence.outcome.coverage
    if coverage is None or evidence.subject.n < ENOUGH_FOR_SHARES:
        return None
    worst = int(np.argmax(np.abs(coverage.observed - coverage.expected)))
    expected, observed = coverage.expected[worst], coverage.observed[worst]
    by_chance = CERTAIN * np.sqrt(expected * (1 - expected) / evidence.subject.n)
    if not abs(observed - expected) > max(LARGEST_COVERAGE_ERROR, by_chance):
        return None
    return (
        "Intervals or quantiles are off",
        f"{percent(observed)} of {count(evidence.subject.n, 'row')} are {coverage.what} where it should be "
        f"{percent(expected)}.",
        TOO_WIDE if observed > expected else TOO_NARROW,
    )
