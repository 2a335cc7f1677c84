"""The weights of the first layer."""

import numpy as np

from fastbp.inspection._plotting import shortened
from fastbp.inspection.reports.page.elements import element, figure, scrolling
from fastbp.inspection.reports.page.numbers import count, number
from fastbp.inspection.reports.page.pictures import colour_scale, coloured_cell, image, mosaic
from fastbp.inspection.reports.sections.parts import LeftOut
from fastbp.inspection.weights_display import WeightsDisplay

#: Units that are shown
MOST_IMAGES, MOST_COLUMNS = 64, 24

#: Units of a heat map that takes half of the page
MOST_NARROW = 16

#: Rows of the heat map: features with the largest weights
MOST_FEATURES = 30

WHAT = "First-layer weights"


def weights(evidence):
    """Images for each unit, or a heat map of features and units, or why there is neither."""
    if not evidence.reads_columns:
        return LeftOut(WHAT, "the first fully connected layer reads embedded or combined columns")
    coefs = np.asarray(evidence.network.coefs[0], np.float64)
    if not np.isfinite(coefs).all():
        return LeftOut(WHAT, "they are not finite")
    names = evidence.subject.model_names if evidence.subject.has_names else None
    shape = WeightsDisplay(coefs=coefs, feature_names=names, image_shape=evidence.image_shape).image_shape
    return images(coefs, shape) if shape else heat_map(coefs, evidence.subject.model_names)


def images(coefs, shape):
    """An image for each unit."""
    shown = coefs[:, :MOST_IMAGES]
    limit = float(np.abs(shown).max()) or 1.0
    pixels = mosaic(shown.T.reshape(-1, *shape))
    alt = f"Weights of {count(shown.shape[1], 'unit')} as images of {shape[0]} × {shape[1]} pixels"
    return figure(
        units_of(coefs, shown),
        [image(pixels, limit, alt), colour_scale(number(limit, 2))],
        "An image for each unit: where it is blue, bright pixels raise the sum of the unit, where it is orange, they "
        "lower it. Images like noise tell of pixels that hardly vary, or of too little alpha.",
    )


def heat_map(coefs, names):
    """A table of colours: features from top to bottom, units from left to right."""
    size = np.sqrt((coefs**2).mean(axis=1))
    order = np.argsort(-size, kind="stable")[:MOST_FEATURES]
    units = np.argsort(-(coefs**2).sum(axis=0), kind="stable")[:MOST_COLUMNS]
    limit = float(np.abs(coefs).max()) or 1.0
    head = [element("th", "feature", scope="col"), *(element("th", str(k + 1), scope="col") for k in units)]
    rows = [
        element(
            "tr",
            element("th", shortened(names[i], 28), scope="row", title=names[i]),
            [
                coloured_cell(coefs[i, k] / limit, "", title=f"{names[i]}, unit {k + 1}: {number(coefs[i, k])}")
                for k in units
            ],
        )
        for i in order
    ]
    whole = element(
        "table",
        element("caption", "First-layer weights by feature and unit", class_="unseen"),
        element("thead", element("tr", head)),
        element("tbody", rows),
        class_="cells",
    )
    note = "Features with the largest weights come first, and units with the largest ones." if len(names) > 1 else None
    cut = f" {MOST_FEATURES} of {len(names)} features are shown." if len(names) > MOST_FEATURES else ""
    return figure(
        units_of(coefs, coefs[:, units]),
        [scrolling(whole, "First-layer weights"), colour_scale(number(limit, 2))],
        (note or "") + cut or None,
        wide=len(units) > MOST_NARROW,
    )


def units_of(coefs, shown):
    """How many units are shown."""
    n, total = shown.shape[1], coefs.shape[1]
    return f"{WHAT}: {count(total, 'unit')}" if n == total else f"{WHAT}: {n} of {total:,} units"
