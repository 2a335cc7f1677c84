"""The importance of features by permutation, at a bounded cost."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.inspection import permutation_importance

from fastbp.compatibility import safe_indexing
from fastbp.estimators.encoder import MLPEncoder
from fastbp.inspection.reports.page.numbers import count, number

#: Rows that are predicted for each shuffle of a column
MOST_ROWS, FEWEST_ROWS = 1000, 100
#: Columns that are shuffled
MOST_COLUMNS = 1000
#: Multiplications of all predictions together: seconds
MOST_WORK = 2e10


@dataclass(frozen=True, eq=False)
class Importances:
    """How much the score falls when a column is shuffled.

    Attributes
    ----------
    means, deviations : ndarray of shape (n_features,)
        Over the shuffles.
    n_rows, n_repeats : int
    """

    means: np.ndarray
    deviations: np.ndarray
    n_rows: int
    n_repeats: int


def importances_of(evidence):
    """The importances of the columns of X, or a str that says why there are none.

    The score is the estimator's own (Breiman, 2001, Random forests, Machine Learning 45, section 10). Many columns and
    large networks are measured on fewer rows, then with fewer shuffles of each column, then not at all.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Importances or str
    """
    subject = evidence.subject
    if isinstance(subject.model, MLPEncoder):
        return "an autoencoder has no target"
    if not evidence.n_repeats:
        return "n_repeats is 0"
    if evidence.outcome.failure:
        return "there are no finite predictions"
    n_columns = subject.X.shape[1]
    if n_columns > MOST_COLUMNS:
        return f"X has {n_columns:,} columns, and at most {MOST_COLUMNS:,} are shuffled"
    if not np.isfinite(evidence.score):
        return f"the score is {evidence.score}"
    work = n_columns * sum(model.network_.n_params for model in subject.networks)  # for a row, shuffled once
    fewest = min(subject.n, FEWEST_ROWS)
    n_repeats = int(min(evidence.n_repeats, MOST_WORK / (work * fewest)))
    if not n_repeats:
        return (
            f"to shuffle each of {count(n_columns, 'column')} once on {count(fewest, 'row')} would take "
            f"{number(float(work * fewest), 2)} multiplications, more than the {number(MOST_WORK, 2)} that are made; "
            "permutation_importance of scikit-learn has no limit, and fewer columns take less"
        )
    n_rows = int(min(subject.n, MOST_ROWS, MOST_WORK / (work * n_repeats)))
    rows = np.sort(np.random.default_rng(evidence.random_state).choice(subject.n, n_rows, replace=False))
    weight = None if subject.sample_weight is None else subject.sample_weight[rows]
    X = shuffled_as(safe_indexing(subject.X, rows))
    if X is None:
        return "X is a data frame that scikit-learn shuffles by way of pandas, which is not installed"
    found = permutation_importance(
        subject.estimator,
        X,
        safe_indexing(subject.y, rows),
        n_repeats=n_repeats,
        random_state=evidence.random_state,
        sample_weight=weight,
    )
    if not found.importances.any():
        return "the score is the same whichever column is shuffled"
    return Importances(found.importances_mean, found.importances_std, n_rows, n_repeats)


def shuffled_as(X):
    """Rows in a form whose columns scikit-learn can shuffle: an array or a frame of pandas; None without pandas."""
    if sparse.issparse(X):
        return X.toarray()
    if not hasattr(X, "columns") or hasattr(X, "iloc"):
        return X
    try:
        import pandas as pd
    except ImportError:
        return None
    names = getattr(X, "column_names", X.columns)
    return pd.DataFrame({name: values_of(X[name]) for name in names})


def values_of(column):
    """The values of a column of polars or Arrow as a list."""
    return column.to_list() if hasattr(column, "to_list") else column.to_pylist()
