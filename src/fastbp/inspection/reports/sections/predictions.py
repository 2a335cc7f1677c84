"""Predictions beside the truth: confusion of classes, residuals of numbers."""

import numpy as np
from sklearn.metrics import confusion_matrix, precision_score, r2_score, recall_score

from fastbp.inspection._plotting import shortened
from fastbp.inspection.reports.evidence import quietly
from fastbp.inspection.reports.outcomes import NO_YES
from fastbp.inspection.reports.page.charts import Axis, Series, chart
from fastbp.inspection.reports.page.elements import bar, element, figure, scrolling, table
from fastbp.inspection.reports.page.numbers import count, number, percent
from fastbp.inspection.reports.page.pictures import coloured_cell, image
from fastbp.inspection.reports.page.scales import limits
from fastbp.inspection.reports.sections.calibration import calibration_blocks
from fastbp.inspection.reports.sections.parts import LeftOut, Section

#: A confusion matrix of more classes is an image; lines of tables; targets with pictures of their own
MOST_CLASSES, MOST_LINES, MOST_PICTURES = 12, 12, 3

#: Dots of a picture
MOST_DOTS = 800

#: Bars of the distribution of residuals: one for so many rows, within limits
ROWS_PER_BAR, FEWEST_BARS, MOST_BARS = 15, 8, 40


def predictions_section(evidence):
    """Confusion matrices or residuals, and calibration."""
    outcome = evidence.outcome
    if outcome.failure:
        return Section("predictions", "Predictions", [LeftOut("Predictions", outcome.failure)])
    blocks = class_blocks(evidence) if outcome.has_classes else number_blocks(evidence)
    return Section("predictions", "Predictions", blocks + calibration_blocks(evidence))


# Classes


def class_blocks(evidence):
    """What is shown of a classifier."""
    parts, weight = evidence.outcome.parts, evidence.subject.sample_weight
    blocks = [targets_table(parts, weight)] if len(parts) > 1 else []
    pictured = parts[:MOST_PICTURES] if any(len(part.classes) > 2 for part in parts) or len(parts) == 1 else []
    for part in pictured:
        with quietly():  # of a single class
            matrix = confusion_matrix(part.true, part.predicted, labels=range(len(part.classes)), sample_weight=weight)
        is_small = len(part.classes) <= MOST_CLASSES
        blocks.append(confusion_table(part, matrix) if is_small else confusion_image(part, matrix))
        if len(part.classes) > 2:
            blocks.append(confused_pairs(part, matrix))
        blocks.append(classes_table(part, matrix))
    if 0 < len(pictured) < len(parts):
        blocks.append(LeftOut("Confusion matrices", f"of {len(parts)} targets, the first {MOST_PICTURES} are shown"))
    return blocks


def titled(what, part):
    """A title with the name of the target."""
    return f"{what}: {part.name}" if part.name else what


def confusion_table(part, matrix):
    """Rows by their class and by what they were taken for."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-300)
    names = [shortened(name, 14) for name in part.classes]
    head = element(
        "tr", element("th", "true ↓ predicted →", scope="col"), [element("th", n, scope="col") for n in names]
    )
    rows = [
        element(
            "tr",
            element("th", names[i], scope="row", title=part.classes[i]),
            [
                coloured_cell(
                    (1 if i == j else -1) * shares[i, j] ** 0.5,
                    cell_text(matrix[i, j]),
                    class_=None if matrix[i, j] else "none",
                    title=f"{part.classes[i]} taken for {part.classes[j]}: {cell_text(matrix[i, j])} "
                    f"({percent(shares[i, j], 1)})",
                )
                for j in range(len(names))
            ],
        )
        for i in range(len(names))
    ]
    whole = element(
        "table",
        element("caption", "Confusion matrix", class_="unseen"),
        element("thead", head),
        element("tbody", rows),
        class_="cells counts",
    )
    return figure(
        titled("Confusion matrix", part),
        scrolling(whole, "Confusion matrix"),
        "A line holds the rows of a class, a column what they were predicted as. Blue is right, orange is wrong.",
    )


def cell_text(value):
    """A number of rows, or a sum of weights."""
    return f"{int(value):,}" if float(value).is_integer() else number(value)


def confusion_image(part, matrix):
    """The matrix of many classes as a picture."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-300)
    signed = -np.sqrt(shares)
    np.fill_diagonal(signed, np.sqrt(np.diag(shares)))
    n = len(part.classes)
    return figure(
        titled("Confusion matrix", part),
        image(signed, 1.0, f"Confusion matrix of {n} classes"),
        f"{n} classes, from top to bottom the true ones, from left to right the predicted ones. Blue is right, orange "
        "is wrong.",
    )


def confused_pairs(part, matrix):
    """The pairs of classes that are taken for each other most often."""
    wrong = matrix.astype(np.float64)
    np.fill_diagonal(wrong, 0)
    order = [place for place in np.argsort(-wrong, axis=None)[:8] if wrong.flat[place] > 0]
    if not order:
        return figure(titled("Most confused", part), element("p", "No row of this report was taken for another class."))
    largest, rows = wrong.max(), []
    for i, j in (np.unravel_index(place, wrong.shape) for place in order):
        text = f"{cell_text(wrong[i, j])} of {cell_text(matrix[i].sum())}"
        names = shortened(part.classes[i], 22), shortened(part.classes[j], 22)
        rows.append((names[0], names[1], bar(wrong[i, j] / largest, text, class_="bar warn")))
    return figure(
        titled("Most confused", part),
        table(("class", "taken for", "rows"), rows, caption="Pairs of classes that are confused most"),
    )


def classes_table(part, matrix):
    """Recall and precision of each class, the worst first where there are many."""
    right, rows, predictions = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision = right / rows, right / predictions
    order = np.arange(len(rows))
    if len(order) > MOST_LINES:
        order = np.argsort(np.where(np.isnan(recall), np.inf, recall), kind="stable")[:MOST_LINES]
    lines = [
        (
            shortened(part.classes[i], 22),
            cell_text(rows[i]),
            bar(np.nan_to_num(recall[i]), percent(recall[i])),
            bar(np.nan_to_num(precision[i]), percent(precision[i])),
        )
        for i in order
    ]
    which = f" The {MOST_LINES} with the lowest recall are shown." if len(rows) > MOST_LINES else ""
    return figure(
        titled("Each class", part),
        table(("class", "rows", "recall", "precision"), lines, caption="Recall and precision of each class"),
        f"Recall: how many of its rows were found. Precision: how many predictions of it are right.{which}",
    )


def targets_table(parts, weight):
    """A line for each of several targets."""
    if all(part.classes == NO_YES for part in parts):
        return labels_table(parts, weight)
    lines = []
    for part in parts[: 4 * MOST_LINES]:
        accuracy = float(np.average(part.true == part.predicted, weights=weight))
        most = np.bincount(part.true, weight, minlength=len(part.classes))
        lines.append(
            (shortened(part.name, 28), bar(accuracy, percent(accuracy, 1)), percent(most.max() / most.sum(), 1))
        )
    return figure(
        f"{len(parts)} targets",
        table(("target", "accuracy", "most frequent"), lines, caption="Accuracy of each target"),
        "Most frequent: the accuracy of always answering the most frequent class.",
    )


def labels_table(parts, weight):
    """A line for each of several labels that a row has or has not."""
    lines = []
    for part in parts[: 4 * MOST_LINES]:
        options = {"sample_weight": weight, "zero_division": np.nan}
        recall = float(recall_score(part.true, part.predicted, **options))
        precision = float(precision_score(part.true, part.predicted, **options))
        lines.append(
            (
                shortened(part.name, 28),
                f"{int(part.true.sum()):,}",
                bar(np.nan_to_num(recall), percent(recall)),
                bar(np.nan_to_num(precision), percent(precision)),
            )
        )
    return figure(
        count(len(parts), "label"),
        table(("label", "rows", "recall", "precision"), lines, caption="Recall and precision of each label"),
        "Recall: in how many of its rows a label was found. Precision: how many predictions of it are right.",
    )


# Numbers


def number_blocks(evidence):
    """What is shown of a regressor."""
    parts, weight = evidence.outcome.parts, evidence.subject.sample_weight
    blocks = [outputs_table(parts, weight)] if len(parts) > 1 else []
    pictured = parts if len(parts) <= MOST_PICTURES else sorted_by_score(parts, weight)[:1]
    for part in pictured:
        blocks += [predicted_and_true(part), residuals(part)]
    return blocks


def score_of(part, weight):
    """R² of a target."""
    return float(r2_score(part.true, part.predicted, sample_weight=weight)) if len(part.true) > 1 else np.nan


def sorted_by_score(parts, weight):
    """The targets, the one that is predicted worst first."""
    return sorted(parts, key=lambda part: score_of(part, weight))


def outputs_table(parts, weight):
    """A line for each of several targets."""
    shown = sorted_by_score(parts, weight)[:MOST_LINES] if len(parts) > MOST_LINES else parts
    lines = []
    for part in shown:
        score = score_of(part, weight)
        error = float(np.average(np.abs(part.true - part.predicted), weights=weight))
        lines.append((shortened(part.name, 28), bar(max(0.0, np.nan_to_num(score)), number(score)), number(error)))
    which = f"The {MOST_LINES} with the lowest R² are shown. " if len(parts) > MOST_LINES else ""
    which += "Pictures are of the one with the lowest R²." if len(parts) > MOST_PICTURES else ""
    return figure(
        f"{len(parts)} targets",
        table(("target", "R²", "mean absolute error"), lines, caption="R² and error of each target"),
        which or None,
    )


def predicted_and_true(part):
    """A dot for each row."""
    rows = np.arange(len(part.true))
    if len(rows) > MOST_DOTS:
        rows = np.unique(np.linspace(0, len(rows) - 1, MOST_DOTS).astype(int))
    true, predicted = part.true[rows], part.predicted[rows]
    ends = limits([true, predicted])
    texts = [f"true {number(t)}, predicted {number(p)}" for t, p in zip(true, predicted, strict=True)]
    return figure(
        titled("Predicted and true", part),
        chart(
            [Series("", true, predicted, "points", texts=texts)],
            Axis("true", ends=ends),
            Axis("predicted", ends=ends),
            summary=f"Predicted against true numbers of {count(len(rows), 'row')}",
            diagonal=True,
        ),
        "On the line, predictions are right."
        + (f" {len(rows)} of {count(len(part.true), 'row')} are shown." if len(rows) < len(part.true) else ""),
    )


def residuals(part):
    """How the errors are distributed."""
    errors = part.true - part.predicted
    low, high = limits([errors], margin=0)
    bars = int(np.clip(len(errors) // ROWS_PER_BAR, FEWEST_BARS, MOST_BARS))
    counts, edges = np.histogram(errors, bars, (low, high))
    texts = [
        f"{number(a)} to {number(b)}: {count(int(n), 'row')}" for a, b, n in zip(edges, edges[1:], counts, strict=False)
    ]
    return figure(
        titled("Residuals", part),
        chart(
            [Series("", edges, counts, "bars", texts=texts)],
            Axis("true − predicted", ends=(low, high)),
            Axis("rows", whole=True, ends=(0, max(1, counts.max() * 1.05))),
            summary=f"Distribution of the residuals of {count(len(errors), 'row')}",
            marks=[(0.0, "no error")] if low < 0 < high else (),
        ),
        f"Mean {number(errors.mean())}; half of the rows are off by less than {number(np.median(np.abs(errors)))}.",
    )
