"""The features that the predictions depend on."""

import numpy as np

from fastbp.inspection._plotting import shortened
from fastbp.inspection.reports.page.elements import bar, figure, table
from fastbp.inspection.reports.page.numbers import count, number
from fastbp.inspection.reports.page.pictures import colour_scale, image
from fastbp.inspection.reports.sections.parts import LeftOut, Section
from fastbp.inspection.reports.sections.weights import weights
from fastbp.inspection.weights_display import WeightsDisplay

#: Lines of the table, and of that beside an image
MOST_FEATURES, MOST_PIXELS = 20, 10

WHAT = "Feature importance"


def features_section(evidence):
    """The importances by permutation, and the weights of the first layer."""
    return Section("features", "Features", [*importances(evidence), weights(evidence)])


def importances(evidence):
    """A table, of pixels also an image."""
    found = evidence.importances
    if isinstance(found, str):
        return [LeftOut(WHAT, found)]
    subject = evidence.subject
    how = (
        f"How much the {evidence.score_phrase} falls when a column is shuffled: the mean of "
        f"{count(found.n_repeats, 'shuffle')} on {count(found.n_rows, 'row')}. Columns that tell the same share their "
        "importance."
    )
    shape = None
    if not subject.has_names and subject.X_model.shape[1] == subject.X.shape[1]:
        column = found.means[:, None]
        shape = WeightsDisplay(coefs=column, image_shape=evidence.image_shape).image_shape
    blocks = [importance_image(found, shape, how)] if shape else []
    return [*blocks, importance_table(found, subject.feature_names, None if shape else how)]


def importance_image(found, shape, how):
    """The importances of pixels."""
    limit = float(np.abs(found.means).max()) or 1.0
    return figure(
        "Importance of each pixel",
        [
            image(
                found.means.reshape(shape),
                limit,
                f"Importance of {shape[0]} × {shape[1]} pixels",
                class_="pixels small",
            ),
            colour_scale(number(limit, 2)),
        ],
        how,
    )


def importance_table(found, names, how):
    """The most important features, with bars."""
    order = np.argsort(-found.means, kind="stable")
    shown = order[: MOST_FEATURES if how else MOST_PIXELS]
    limit = float((np.abs(found.means) + found.deviations)[shown].max()) or 1.0
    rows = [
        (
            shortened(names[i], 30),
            bar(max(0.0, found.means[i]) / limit, number(found.means[i], 2), spread=found.deviations[i] / limit),
        )
        for i in shown
    ]
    rest = f"The {len(shown)} largest of {len(names)}." if len(shown) < len(names) else None
    return figure(
        "Importance of features" if how else "The most important pixels",
        table(("feature", "importance"), rows, caption="Importance of features by permutation"),
        how,
        rest,
    )
