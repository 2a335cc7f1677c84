"""The parts of a docstring that the two tabular estimators share, written once."""

from typing import TypeVar

T = TypeVar("T")

ATTRIBUTES = """
estimators_ : list of MLPClassifier or MLPRegressor
    The fitted models, one of each member after each cycle of its training, but for those without weight. They read
    encoded rows.

estimator_weights_ : ndarray of shape (n_models,)
    Weights of their predictions, with the sum 1.

oob_score_ : float
    Score of the out-of-bag rows: accuracy, or R^2. Each row is predicted by those members only that were not trained on
    it. NaN without out-of-bag rows.

feature_importances_ : ndarray of shape (`n_features_in_`,)
    How much the score of out-of-bag rows falls when the values of a column are permuted; of so many rows as take about
    a twentieth of the time of the training, but at least 20. NaN without out-of-bag rows.

is_categorical_ : ndarray of bool of shape (`n_features_in_`,)
    Which columns are categories.

n_features_in_ : int
    Columns of X.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Their names, where X had names that are all strings.
"""

NOTES = """
The model does not depend on the number of threads, to the last bit, unless `time_budget` is set. Arithmetic is in
float32. Dates are refused: make numbers of them, such as year, month and weekday.

References: Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on
tabular data, NeurIPS. Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep
learning, NeurIPS. Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, ICLR. Huang, Li,
Pleiss, Liu, Hopcroft and Weinberger (2017), Snapshot ensembles: train 1, get M for free, ICLR.
"""


def documented(cls: type[T]) -> type[T]:
    """A class decorator that fills in ``{attributes}`` and ``{notes}`` in the docstring."""
    cls.__doc__ = str(cls.__doc__).replace("{attributes}", ATTRIBUTES.strip()).replace("{notes}", NOTES.strip())
    return cls
