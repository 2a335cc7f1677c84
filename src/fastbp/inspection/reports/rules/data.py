"""What can be wrong with the rows."""

import numpy as np
from sklearn.base import is_regressor

from fastbp.inspection.reports.page.numbers import count, listed, number, percent, plain
from fastbp.inspection.reports.rules.training import not_converged

#: Inputs should have a mean near 0 and a variance near 1 (LeCun, Bottou, Orr and Mueller, 1998, Efficient BackProp,
#: section 4.3). A column whose root mean square is beyond these limits is far from that.
LARGEST_INPUT, SMALLEST_INPUT = 10.0, 0.01

#: More parameters than this for each trained row are many, also for networks, which can do with more than older rules
#: of thumb allow (Baum and Haussler, 1989, What size net gives valid generalization?: ten rows for each weight).
MOST_PARAMETERS_PER_ROW = 20

#: A class with less than this share of the rows of the largest class is rare.
RARE = 0.1


def unscaled_input(evidence):
    """Columns that are far from mean 0 and variance 1."""
    if evidence.scales_columns:
        return None
    mean, std = evidence.column_moments
    size = np.sqrt(mean**2 + std**2)
    names = evidence.subject.model_names
    large = np.flatnonzero(size > LARGEST_INPUT)
    if len(large):
        worst = large[np.argsort(-size[large])]
        what = f"{count(len(large), 'column')} of {len(size)} have numbers of a size beyond {plain(LARGEST_INPUT)}"
        numbers = listed([f"{names[i]} ({number(size[i])})" for i in worst], 4)
    elif np.nanmax(size, initial=0) < SMALLEST_INPUT and (size > 0).any():
        what = f"all columns have numbers of a size below {plain(SMALLEST_INPUT)}"
        numbers = listed([f"{names[i]} ({number(size[i])})" for i in np.argsort(-size)], 4)
    else:
        return None
    return (
        "The input is not scaled",
        f"{what[0].upper()}{what[1:]}, as a root mean square: {numbers}. Networks learn best from columns with mean 0 "
        "and variance 1.",
        [
            "make_pipeline(StandardScaler(), model)",
            "PowerTransformer or a logarithm for columns with a few huge numbers",
            "TabularMLPClassifier and TabularMLPRegressor, which scale all columns themselves",
        ],
    )


def unscaled_target(evidence):
    """Targets of a regressor that are far from mean 0 and variance 1, where training did not come to its end."""
    is_single = evidence.is_single and evidence.subject.model is evidence.model
    if not is_single or not is_regressor(evidence.model) or evidence.model.out_activation_ != "identity":
        return None
    size = float(np.sqrt(np.mean(np.asarray(evidence.core.y, np.float64) ** 2)))
    if size <= LARGEST_INPUT or not (not_converged(evidence) or evidence.score <= 0):
        return None
    return (
        "The target is not scaled",
        f"The numbers to predict have a size of {number(size)}, as a root mean square, and training was not done when "
        "it ended. A network begins with outputs near 0, and has a long way to large numbers.",
        [
            "TransformedTargetRegressor(model, transformer=StandardScaler()) of scikit-learn",
            "a logarithm of a target that is positive and skewed, or loss='gamma' or 'poisson'",
            "TabularMLPRegressor, which standardizes the target itself",
        ],
    )


def constant_columns(evidence):
    """Columns that tell nothing, but for those that an ensemble leaves out itself."""
    names = evidence.constant_columns
    if not names or not evidence.is_single:
        return None
    among = "these rows" if evidence.subject.n == evidence.subject.n_rows else "the rows that were looked at"
    return (
        "Columns are constant",
        f"{count(len(names), 'column')} of {len(evidence.subject.model_names)} have the same value in all of {among}: "
        f"{listed(names, 6)}.",
        [
            "VarianceThreshold before the model: such columns tell nothing, and new values in them do harm",
        ],
    )


def class_imbalance(evidence):
    """Some class is rare."""
    if not evidence.outcome.has_classes or len(evidence.outcome.parts) > 1:
        return None
    (part,) = evidence.outcome.parts
    counts = np.bincount(part.true, minlength=len(part.classes))
    rare = np.flatnonzero((counts > 0) & (counts < RARE * counts.max()))
    if not len(rare):
        return None
    shares = listed(
        [f"{part.classes[i]} ({percent(counts[i] / counts.sum(), 1)})" for i in rare[np.argsort(counts[rare])]]
    )
    return (
        "Classes are imbalanced",
        f"Rare classes: {shares}; the largest one has {percent(counts.max() / counts.sum(), 1)} of the rows. The "
        "accuracy says little about the rare ones.",
        [
            "look at the recall of the rare classes, or at balanced accuracy or average precision",
            "class_weight='balanced', if an error on a rare class costs more",
            "another threshold for predict_proba, if the probabilities are right",
        ],
    )


def few_rows(evidence):
    """Many parameters for few rows."""
    n_trained, n_parameters = evidence.n_trained, evidence.network.n_params
    if n_trained is None or not evidence.is_single:
        return None
    if n_parameters <= MOST_PARAMETERS_PER_ROW * n_trained:
        return None
    return (
        "There are few rows for so many parameters",
        f"{count(n_parameters, 'parameter')} learned from {count(n_trained, 'row')}, "
        f"{number(n_parameters / n_trained)} for each row. The network can learn the rows by heart.",
        [
            "fewer or narrower layers: hidden_layer_sizes",
            "a larger alpha, or dropout=0.2, and early_stopping=True",
            "cross-validation in place of one small test set, whose score is uncertain",
        ],
    )
