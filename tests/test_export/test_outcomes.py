"""The outcomes of estimators: labels, losses, intervals."""

import numpy as np
import pytest

from fastbp.export.outcomes import (
    ColumnsOfClasses,
    Labels,
    ManyClasses,
    MixtureOfNumbers,
    NormalDistribution,
    Quantiles,
    Values,
    outcome_of_loss,
)
from fastbp.losses import LOSSES, Gaussian, Quantile, SquaredError, as_loss


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (np.array([3, 5], np.int8), Labels("integers", [3, 5])),
        (np.array([3, 5], object), Labels("integers", [3, 5])),
        (np.array([False, True]), Labels("booleans", [False, True])),
        (np.array([0.5, 1.5], np.float32), Labels("floats", [0.5, 1.5])),
        (np.array(["a", "b"]), Labels("text", ["a", "b"])),
        (np.array(["a", "b"], object), Labels("text", ["a", "b"])),
    ],
)
def test_labels(classes, labels):
    assert Labels.of(classes) == labels


def test_parts_of_columns():
    columns = [ManyClasses(Labels("integers", list(range(n)))) for n in (2, 3, 1)]
    assert ColumnsOfClasses(tuple(columns)).parts == [slice(0, 2), slice(2, 5), slice(5, 6)]


def test_half_widths():
    residuals = np.arange(1.0, 20.0)[:, None]
    outcome = MixtureOfNumbers(*np.zeros((4, 1)), True, residuals, 19)
    assert outcome.half_width(0.9) == [18]
    with pytest.raises(ValueError, match="coverage must be a number above 0 and below 1, got 1"):
        outcome.half_width(1)
    with pytest.raises(ValueError, match="needs out-of-bag rows"):
        MixtureOfNumbers(*np.zeros((4, 1)), True, residuals[:0], 0).half_width(0.9)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_an_outcome(name):
    if "classification" not in LOSSES[name].__module__:
        expected = NormalDistribution if name == "gaussian" else Values
        assert isinstance(outcome_of_loss(as_loss(name), 2), expected)


def test_losses_with_several_units_for_a_target():
    assert outcome_of_loss(Quantile([0.1, 0.9]), 2) == Quantiles(2)
    assert outcome_of_loss(Quantile(0.1), 2) == Values(("predict",), 2, False)
    assert outcome_of_loss(Gaussian(epsilon=0.5), 1) == NormalDistribution(0.5, 1, True)


def test_predictions_of_a_loss_with_predictions_of_its_own_are_refused():
    class Doubled(SquaredError):
        """A loss of the user's."""

        def predictions(self, output):
            return 2 * output

    with pytest.raises(TypeError, match=r"Doubled makes predictions of its own .* export estimator.network_"):
        outcome_of_loss(Doubled(), 1)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([b"a", b"b"]), TypeError, r"must be all int, .* got bytes, as in .* such as y.astype\(str\)"),
        (np.array([1, True], object), TypeError, "got bool and int"),
        (np.array([2**63], np.uint64), ValueError, "at most 64 bits to be exported, got 9223372036854775808"),
    ],
)
def test_labels_that_cannot_be_exported(labels, error, message):
    with pytest.raises(error, match=message):
        Labels.of(labels)
