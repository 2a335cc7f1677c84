"""What can be wrong with a training run."""

import numpy as np
from sklearn.base import is_classifier

from fastbp.estimators.parameters import end_is_needed_by
from fastbp.inspection.reports.page.numbers import count, number, percent, plain
from fastbp.inspection.reports.rules import ENOUGH_ROWS

#: A last loss above so many times the first one has diverged, and above so many times the smallest one is on the way.
DIVERGED_FROM_FIRST, DIVERGED_FROM_BEST = 2.0, 100.0

#: In the second half of training, the loss should not rise from one epoch to the next by more than a tenth in more than
#: a fifth of the epochs: steps that jump over the minimum do that (Goodfellow, Bengio and Courville, 2016, Deep
#: Learning, section 11.4.1: oscillations tell of a too large learning rate).
LARGE_RISE, MOST_RISES = 0.1, 0.2

#: With a too small rate, the loss is still nearly a straight line: the last third falls by more than this share of what
#: the first third falls by, where a run that converges has long become flat.
STRAIGHT = 0.5

#: Epochs from which on the shape of a curve can be told
ENOUGH_EPOCHS = 12

#: Overfitting: the loss on rows of the report is above so many times the training loss, and the difference is more than
#: a share of the loss of the best constant prediction, so that tiny losses do not count.
GAP_RATIO, GAP_SHARE = 1.5, 0.15

#: The validation loss at the end is so many times its minimum.
RISE_OF_VALIDATION = 1.1


def diverged(evidence):
    """The loss ends far above what it was."""
    curve = evidence.loss_curve
    if not len(curve):
        return None
    last, best = curve[-1], np.nanmin(curve) if not np.isnan(curve).all() else np.nan
    is_wild = not np.isfinite(last) or (
        len(curve) > 1
        and (
            last > curve[0] + (DIVERGED_FROM_FIRST - 1) * abs(curve[0])
            or (best > 0 and last > DIVERGED_FROM_BEST * best)
        )
    )
    if not is_wild:
        return None
    return (
        "Training diverged",
        f"The loss was {number(curve[0])} after the first epoch, {number(best)} at its best, and {number(last)} at the "
        "end.",
        [
            f"a smaller learning_rate_init than {plain(evidence.model.learning_rate_init)}: divide it by 10",
            "standardized inputs, and for a regressor a standardized y",
            "clip_norm=1.0",
        ],
    )


def learning_rate_too_large(evidence):
    """The loss jumps up and down."""
    curve = evidence.loss_curve
    is_told = evidence.is_single and len(curve) >= ENOUGH_EPOCHS and np.isfinite(curve).all()
    if not is_told or evidence.model.mixup_alpha or diverged(evidence):  # other mixtures have other losses
        return None
    late = curve[len(curve) // 2 :]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = float(np.mean(np.diff(late) > LARGE_RISE * np.abs(late[:-1])))
    if share <= MOST_RISES:
        return None
    return (
        "The learning rate is probably too large",
        f"In the second half of training, the loss rose by more than a tenth in {percent(share)} of the epochs: the "
        "steps jump over the minimum.",
        [
            f"a smaller learning_rate_init than {plain(evidence.model.learning_rate_init)}: a third, or a tenth",
            "learning_rate='one_cycle' or 'cosine', which lower the rate until the end",
            "a larger batch_size, whose gradient has less noise",
        ],
    )


def learning_rate_too_small(evidence):
    """The loss falls as slowly at the end as at the beginning."""
    curve = evidence.loss_curve
    is_told = evidence.is_single and len(curve) >= ENOUGH_EPOCHS and np.isfinite(curve).all()
    if not is_told or end_is_needed_by(evidence.model):
        return None
    third = len(curve) // 3
    first, last = curve[0] - curve[third], curve[-1 - third] - curve[-1]
    if not (first > 0 and last > STRAIGHT * first):
        return None
    return (
        "The learning rate is probably too small",
        f"After {count(len(curve), 'epoch')}, the loss still falls nearly as fast as in the beginning: by "
        f"{number(first)} in the first third and by {number(last)} in the last.",
        [
            f"a larger learning_rate_init than {plain(evidence.model.learning_rate_init)}: three or ten times as "
            "much; fastbp.find_learning_rate suggests one",
            "a smaller batch_size, which makes more steps in an epoch",
        ],
    )


def not_converged(evidence):
    """Training ended because of max_iter."""
    model = evidence.model
    if not evidence.is_single or getattr(model, "n_iter_", 0) < model.max_iter:
        return None
    if model.solver == "lbfgs":
        return (
            "Training was stopped by max_iter",
            f"All {count(model.max_iter, 'iteration')} were used, and the gradient was not yet smaller than tol = "
            f"{plain(model.tol)}.",
            [
                f"max_iter={2 * model.max_iter}, if the score on new rows still rises",
                "standardized inputs, with which 'lbfgs' needs fewer iterations",
                "a larger alpha, if more iterations would overfit",
            ],
        )
    if end_is_needed_by(model) or not np.isfinite(model.n_iter_no_change):
        return None  # such a run is meant to end there
    return (
        "Training was stopped by max_iter",
        f"All {count(model.max_iter, 'epoch')} were used, and the loss had not stopped to fall by more than tol = "
        f"{plain(model.tol)}.",
        [
            f"max_iter={2 * model.max_iter}, if the score on new rows still rises",
            "learning_rate='one_cycle', a schedule that ends with max_iter: better in the same number of epochs",
            "early_stopping=True, if more epochs would overfit",
        ],
    )


def overfitting(evidence):
    """The loss on these rows is far above that in training."""
    if evidence.losses is None or evidence.subject.n < ENOUGH_ROWS or not evidence.outcome.varies:
        return None
    training, here = evidence.losses
    # sample weights in training change the penalty's share, which was taken off: the gap is there with all of it
    most = evidence.recorded_loss
    if not (here > GAP_RATIO * max(most, 0) and here - most > GAP_SHARE * constant_loss(evidence)):
        return None
    return (
        "The network overfits",
        f"The loss is {number(training)} in training and {number(here)} on the rows of this report: what was learned "
        "does not carry over to them.",
        [
            "more rows, if there are any",
            "early_stopping=True",
            "a larger alpha or weight_decay, or dropout=0.2",
            "fewer units: hidden_layer_sizes",
        ],
    )


def constant_loss(evidence):
    """The loss of the best constant prediction for the log-loss and the squared error, else that of training."""
    model, parts = evidence.model, evidence.outcome.parts
    if parts and is_classifier(model):
        shares = [np.bincount(part.true, minlength=len(part.classes)) / len(part.true) for part in parts]
        return float(sum(-(p[p > 0] * np.log(p[p > 0])).sum() for p in shares))
    if parts and model.loss == "squared_error":
        # as the network was trained on it: a TransformedTargetRegressor has changed its unit
        return float(np.var(np.asarray(evidence.core.y, np.float64), axis=0).mean() / 2)
    return abs(evidence.losses[0])


def validation_loss_rises(evidence):
    """The validation loss has a minimum before the end."""
    curve = evidence.history.get("validation_loss", np.empty(0))
    curve = curve[np.isfinite(curve)]
    if len(curve) < ENOUGH_EPOCHS or (evidence.model.early_stopping and evidence.model.restore_best):
        return None
    best = int(np.argmin(curve))
    if not curve[-1] > RISE_OF_VALIDATION * curve[best]:
        return None
    return (
        "The validation loss rises again",
        f"It was smallest after epoch {best + 1}, {number(curve[best])}, and is {number(curve[-1])} at the end: from "
        "there on, the network learned what is true for the training rows only.",
        [
            "early_stopping=True with scoring='loss', which keeps the best weights",
            f"max_iter={best + 1}",
            "a larger alpha or weight_decay, or dropout=0.2",
        ],
    )
