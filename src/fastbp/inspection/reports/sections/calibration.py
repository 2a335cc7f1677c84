"""Whether probabilities, quantiles and intervals keep what they promise."""

import numpy as np

from fastbp.inspection.reports.calibration import error_by_chance, expected_error, reliability
from fastbp.inspection.reports.page.charts import Axis, Series, chart
from fastbp.inspection.reports.page.elements import figure
from fastbp.inspection.reports.page.numbers import count, number, percent
from fastbp.inspection.reports.sections.parts import LeftOut

#: Targets with a curve of their own
MOST_CURVES = 3

#: Bins of the predicted means
N_BINS = 10

#: Losses of numbers that are counts or positive amounts, whose means should be right at all sizes
OF_MEANS = ("poisson", "gamma", "tweedie")


def calibration_blocks(evidence):
    """Curves of calibration or of coverage, of what there are predictions for."""
    outcome, loss = evidence.outcome, getattr(evidence.subject.model, "_fitted_loss", None)
    if outcome.has_classes:
        blocks = [probabilities(part, evidence) for part in outcome.parts[:MOST_CURVES] if len(part.classes) > 1]
        if len(outcome.parts) > MOST_CURVES:
            blocks.append(LeftOut("Calibration", f"of {len(outcome.parts)} targets, the first {MOST_CURVES} are shown"))
        return blocks
    if outcome.coverage is not None:
        return [coverage(outcome.coverage, evidence)]
    if getattr(loss, "name", None) in OF_MEANS:
        return [means(part, evidence) for part in outcome.parts[:MOST_CURVES]]
    return [LeftOut("Calibration", "the model predicts neither probabilities nor intervals")]


def probabilities(part, evidence):
    """How often probabilities come true."""
    bins = reliability(part, evidence.subject.sample_weight)
    of = f"that the class is {bins.of_class}" if bins.of_class else "of the predicted class"
    below = "the class comes true less often than predicted" if bins.of_class else "the model is too sure"
    title = f"Probabilities: {part.name}" if part.name else "Probabilities"
    texts = [
        f"{percent(p, 1)} predicted, {percent(o, 1)} true ({number(w)} rows)"
        for p, o, w in zip(bins.predicted, bins.observed, bins.weights, strict=True)
    ]
    low = 0.0 if bins.of_class else min(0.9, float(min(bins.predicted.min(), bins.observed.min())) - 0.05)
    ends = (max(0.0, low), 1.0)
    return figure(
        title,
        chart(
            [Series("", bins.predicted, bins.observed, texts=texts)],
            Axis("predicted probability", ends=ends),
            Axis("how often it came true", ends=ends),
            summary=f"Calibration in {count(len(bins.predicted), 'bin')} of equally many rows",
            diagonal=True,
        ),
        f"The probability {of}, in bins of equally many rows. On the line, it is right; below, {below}. "
        f"The mean distance is {percent(expected_error(bins), 1)}; of right probabilities, it would be about "
        f"{percent(error_by_chance(bins), 1)} by chance.",
    )


def coverage(found, evidence):
    """How many rows are where they should be."""
    return figure(
        "Coverage",
        chart(
            [Series("", found.expected, found.observed)],
            Axis("expected share of rows", ends=(0.0, 1.0)),
            Axis(found.what, ends=(0.0, 1.0)),
            summary=f"Share of rows {found.what}",
            diagonal=True,
        ),
        f"The share of {count(evidence.subject.n, 'row')} {found.what}: "
        + ", ".join(f"{percent(o)} for {percent(e)}" for e, o in zip(found.expected, found.observed, strict=True))
        + ".",
    )


def means(part, evidence):
    """Whether means are right, at small and at large predictions."""
    weight = evidence.subject.sample_weight
    weight = np.ones(len(part.true)) if weight is None else weight
    groups = [
        g for g in np.array_split(np.argsort(part.predicted, kind="stable"), N_BINS) if len(g) and weight[g].any()
    ]
    predicted, true = (
        np.array([np.average(values[g], weights=weight[g]) for g in groups]) for values in (part.predicted, part.true)
    )
    return figure(
        f"Means: {part.name}" if part.name else "Means",
        chart(
            [Series("", predicted, true)],
            Axis("mean prediction", include=(0.0,)),
            Axis("mean of the truth", include=(0.0,)),
            summary=f"Mean truth against mean prediction in {count(len(groups), 'group')}",
            diagonal=True,
        ),
        f"{count(len(groups), 'group')} of equally many rows, by the size of the prediction. On the line, the mean is "
        "right.",
    )
