"""How training went: curves and gradients."""

import numpy as np

from fastbp.estimators.tabular.base import BaseTabularMLP
from fastbp.inspection.gradient_flow import VANISHING
from fastbp.inspection.reports.page.charts import Axis, Series, chart
from fastbp.inspection.reports.page.elements import bar, figure, table
from fastbp.inspection.reports.page.numbers import NO_BREAK, count, number, percent, plain
from fastbp.inspection.reports.sections.parts import LeftOut, Section

#: Losses that fall by more than this factor are drawn on a logarithmic axis
LOG_FROM = 20

#: The table of gradients has a line for each layer, up to so many
MOST_LAYERS = 12

#: The bars of gradients begin here: a tenth of what counts as vanishing
SMALLEST_BAR = VANISHING / 10


def training_section(evidence):
    """Loss curves, validation curves, gradients."""
    blocks = [losses(evidence), validation(evidence), gradients(evidence), recorded_gradients(evidence)]
    return Section("training", "Training", [block for block in blocks if block is not None])


def losses(evidence):
    """The loss of each epoch."""
    subject = evidence.subject
    if isinstance(subject.model, BaseTabularMLP):
        return losses_of_ensemble(subject)
    curve = evidence.loss_curve
    if not len(curve):
        is_trained = evidence.recorded_loss is not None
        why = "solver='lbfgs' records none" if is_trained else "the model has no record of a training"
        return LeftOut("Loss curve", why)
    validation_loss = evidence.history.get("validation_loss")
    series = [Series("" if validation_loss is None else "training", epochs(curve), curve, colour=1)]
    if validation_loss is not None:
        series.append(Series("validation", epochs(validation_loss), validation_loss, colour=2, dashed=True))
    best, seconds = evidence.best_epoch, evidence.history.get("seconds", ())
    time = f" and {number(seconds[-1], 2)} s" if len(seconds) else ""
    return figure(
        "Loss",
        chart(
            series,
            Axis("epoch", whole=True),
            Axis("loss", log=is_steep([one.y for one in series])),
            summary=f"Training loss over {count(len(curve), 'epoch')}, from {number(curve[0])} to {number(curve[-1])}",
            marks=[(best, f"best epoch, {best}")] if best else (),
        ),
        f"From {number(curve[0])} to {number(curve[-1])} in {count(len(curve), 'epoch')}{time}.",
    )


def losses_of_ensemble(subject):
    """The losses of all networks."""
    curves = [np.asarray(model.loss_curve_, np.float64) for model in subject.networks]
    series = [Series("", epochs(curve), curve, colour=1) for curve in curves]
    return figure(
        f"Loss of {count(len(curves), 'network')}",
        chart(
            series,
            Axis("epoch of its cycle", whole=True),
            Axis("training loss", log=is_steep(curves)),
            summary=f"Training loss of {count(len(curves), 'network')}",
        ),
        "A member of the ensemble has a network after each cycle of its learning rate. Schedules end the training.",
    )


def validation(evidence):
    """The validation scores of each epoch; None for an ensemble, whose rows out of bag are scored at the end."""
    scores = getattr(evidence.model, "validation_scores_", None)
    if not evidence.is_single:
        return None
    if scores is None:
        return LeftOut("Validation curve", "no rows were held out in training (early_stopping=True or X_val)")
    loss = evidence.history.get("validation_loss")
    scores = np.asarray(scores, np.float64)
    if loss is not None and np.array_equal(np.abs(scores), np.abs(loss[: len(scores)]), equal_nan=True):
        return None  # it stands beside the training loss
    best = int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0
    name = evidence.score_phrase if evidence.model.scoring is None else "score"
    return figure(
        f"Validation {name}",
        chart(
            [Series("", epochs(scores), scores, colour=2)],
            Axis("epoch", whole=True),
            Axis(f"validation {name}"),
            summary=f"Validation {name} over {count(len(scores), 'epoch')}",
            marks=[(best + 1, f"best epoch, {best + 1}")],
        ),
        f"Best: {number(scores[best])} after epoch {best + 1}.",
    )


def gradients(evidence):
    """The gradient of each layer at the fitted weights, and which units learn."""
    flow = evidence.flow
    if flow is None:
        return LeftOut("Gradient flow", "the loss is not finite on these rows")
    relative, n = flow.relative_gradient, len(flow.activations)
    of = f" ({evidence.core.name})" if evidence.core.name else ""
    title, note = f"Gradient in each layer{of}", "Root mean square, as a share of that of the output layer."
    if n > MOST_LAYERS:
        picture = chart(
            [Series("", np.arange(1, n + 1), relative)],
            Axis("layer, from the input", whole=True),
            Axis("gradient, beside the output layer", log=True, include=(1.0,)),
            summary=f"Gradients of {n} layers",
        )
        return figure(title, picture, note)
    rows = []
    for i in range(n):
        shape = f"{flow.shapes[i][0]}{NO_BREAK}→{NO_BREAK}{flow.shapes[i][1]}"
        share = log_share(relative[i])
        rows.append(
            (
                f"{i + 1}",
                shape,
                bar(share, number(relative[i], 2), class_="bar warn" if i + 1 in flow.vanishing else "bar"),
                percent(flow.dead[-1, i]),
                percent(flow.saturated[-1, i]),
            )
        )
    header = ("layer", "size", "gradient", "dead", "saturated")
    return figure(
        title,
        table(header, rows, caption="Gradient and units of each layer"),
        f"{note} The bars are logarithmic, and end at {plain(SMALLEST_BAR)}. Dead units have slope zero on all "
        "rows; saturated slopes are below a twentieth of the slope at zero.",
    )


def log_share(relative):
    """The length of a bar for a gradient."""
    if not relative > SMALLEST_BAR:
        return 0.0
    top = np.log10(10 / SMALLEST_BAR)
    return float(min(1.0, np.log10(relative / SMALLEST_BAR) / top))


def recorded_gradients(evidence):
    """What `gradient_flow` has recorded during training; None if it was not a callback."""
    flow = evidence.recorded_flow
    if flow is None:
        return None
    n = len(flow.activations)
    chosen = np.unique(np.linspace(0, n - 1, 4).astype(int))
    series = [
        Series(f"layer {i + 1}", np.asarray(flow.epochs), flow.gradient_norms[:, i], colour=k + 1, dashed=k % 2 == 1)
        for k, i in enumerate(chosen)
    ]
    return figure(
        "Gradient during training",
        chart(
            series,
            Axis("epoch", whole=True),
            Axis("norm of the gradient", log=True),
            summary="Norm of the gradient of some layers during training",
        ),
        "Recorded by the callback gradient_flow.",
    )


def epochs(curve):
    """The numbers of the epochs."""
    return np.arange(1, len(curve) + 1)


def is_steep(curves):
    """Whether curves are drawn on a logarithmic axis: they are positive, and fall by a large factor."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > LOG_FROM * values.min())
