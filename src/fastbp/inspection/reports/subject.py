"""What a report is about: the estimator, the perceptron inside of it, and the rows."""

from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from fastbp.compatibility import checked_sample_weight, n_rows_of, safe_indexing
from fastbp.data import checked_csr
from fastbp.estimators.base import BaseMLP
from fastbp.estimators.class_targets import PROBABILITIES
from fastbp.estimators.encoder import MLPEncoder
from fastbp.estimators.tabular.base import BaseTabularMLP
from fastbp.inspection._plotting import checked_names

#: The estimators that have networks inside
OURS = (BaseMLP, BaseTabularMLP, MLPEncoder)


class Core(NamedTuple):
    """A single network with the rows as it reads them.

    Attributes
    ----------
    model : MLPClassifier or MLPRegressor
    X : ndarray or sparse matrix of shape (n, n_features)
    y : ndarray
        As `model` takes it.
    name : str or None
        Which of several networks it is.
    """

    model: BaseMLP
    X: object
    y: object
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """An estimator and the rows that it is looked at with.

    Attributes
    ----------
    estimator : estimator
        Predicts from X.
    model : estimator of fastbp
        Its last step, or itself.
    wrappers : list of str
        What is around the model, in words.
    X : array-like, sparse matrix or data frame of shape (n, n_features)
    y : ndarray of shape (n,) or (n, n_outputs)
    sample_weight : ndarray of shape (n,) or None
        Above zero: rows without weight are left out.
    X_model : array-like or sparse matrix
        The rows as the model reads them, after the steps before it.
    y_model : ndarray of the shape of y
        The targets as the model was trained on them.
    n_rows : int
        Of which these n are a sample.
    feature_names : list of str
        Of the columns of X.
    has_names : bool
        Whether these are names, and not numbers.
    model_names : list of str
        Of the columns of `X_model`.
    target_names : list of str or None
        Of the columns of y, where they have names.
    """

    estimator: object
    model: object
    wrappers: list
    X: object
    y: object
    sample_weight: object
    X_model: object
    y_model: object
    n_rows: int
    feature_names: list
    has_names: bool
    model_names: list
    target_names: list | None

    @property
    def n(self):
        """int: rows that are looked at."""
        return n_rows_of(self.X)

    @property
    def core(self):
        """Core: the network, of an ensemble the one with the largest weight."""
        model = self.model
        if isinstance(model, MLPEncoder):
            X = np.asarray(self.X_model)
            return Core(model.regressor_, X, X.ravel() if X.shape[1] == 1 else X)
        if isinstance(model, BaseTabularMLP):
            number = int(np.argmax(model.estimator_weights_))
            name = f"network {number + 1} of {len(model.estimators_)}"
            return Core(model.estimators_[number], model._encoded(self.X_model), model._encode(self.y_model), name)
        return Core(model, self.X_model, self.y_model)

    @property
    def networks(self):
        """list of MLPClassifier or MLPRegressor: all single networks of the model."""
        return self.model.estimators_ if isinstance(self.model, BaseTabularMLP) else [self.core.model]


def subject_of(estimator, X, y, *, sample_weight=None, feature_names=None, max_rows=10_000, random_state=0):
    """The subject of a report, with all arguments checked.

    Parameters
    ----------
    estimator, X, y, sample_weight, feature_names, max_rows, random_state
        As for `report`.

    Returns
    -------
    Subject
    """
    estimator, model, before, target, wrappers = unwrapped(estimator)
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    shape = X.shape if hasattr(X, "shape") else np.shape(X)
    if len(shape) != 2:
        raise ValueError(f"X must have two dimensions, got shape {shape}: X.reshape(-1, 1) has a single column")
    X = checked_csr("X", X) if sparse.issparse(X) else X
    n_rows, target_names = n_rows_of(X), column_names(y)
    if n_rows == 0:
        raise ValueError("X must have at least one row, got none")
    y = checked_targets(model, y, n_rows)
    if sample_weight is not None:
        sample_weight = checked_sample_weight(sample_weight, X, ensure_non_negative=True, allow_all_zero_weights=True)
        if not sample_weight.any():
            raise ValueError("sample_weight must be above zero for some row, got zeros only")
    rows = np.arange(n_rows) if sample_weight is None else np.flatnonzero(sample_weight)
    n_counted = len(rows)
    if n_counted > max_rows:
        rows = np.sort(np.random.default_rng(random_state).choice(rows, max_rows, replace=False))
    if len(rows) < n_rows:
        X = safe_indexing(X, rows)
        y = None if y is None else safe_indexing(y, rows)
        sample_weight = None if sample_weight is None else sample_weight[rows]
    known = column_names(X) or getattr(estimator, "feature_names_in_", None)
    n_columns = X.shape[1]
    names = checked_names("feature_names", feature_names if feature_names is not None else known, n_columns)
    has_names = names is not None
    names = names or [f"x{i}" for i in range(n_columns)]
    X_model, model_names = after(before, names, X)
    y = labels_or_numbers(model, X_model, y)
    return Subject(
        estimator,
        model,
        wrappers,
        X,
        y,
        sample_weight,
        X_model,
        transformed(target, y),
        n_counted,
        names,
        has_names,
        model_names,
        target_names,
    )


class Parts(NamedTuple):
    """What an estimator consists of.

    Attributes
    ----------
    estimator : estimator
        Of a search the best one.
    model : estimator of fastbp
    before : list of Pipeline
        The steps before the model.
    target : transformer or None
        Of y, of a TransformedTargetRegressor.
    wrappers : list of str
        What is around the model, in words.
    """

    estimator: object
    model: object
    before: list
    target: object
    wrappers: list


def unwrapped(estimator):
    """The parts of a fitted estimator.

    Parameters
    ----------
    estimator : estimator of fastbp, or a pipeline, a search or a TransformedTargetRegressor with one

    Returns
    -------
    Parts

    Raises
    ------
    TypeError
        For other estimators.
    NotFittedError
    """
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(f"estimator must be a fitted estimator of fastbp, got {estimator!r}")
    check_is_fitted(estimator)
    given, model, before, target, wrappers = estimator, estimator, [], None, []
    while not isinstance(model, OURS):
        if hasattr(model, "best_estimator_"):
            wrappers.append(f"the best of {len(model.cv_results_['params'])} candidates of {type(model).__name__}")
            estimator = with_best(estimator, model)
            model = model.best_estimator_
        elif hasattr(model, "steps"):
            if len(model.steps) > 1:
                before.append(model[:-1])
                steps = [type(step).__name__ for _, step in model.steps[:-1] if step not in (None, "passthrough")]
                wrappers += ["behind " + ", ".join(steps)] if steps else []
            model = model[-1]
        elif hasattr(model, "regressor_") and hasattr(model, "transformer_"):
            wrappers.append("trained on a transformed target")
            model, target = model.regressor_, model.transformer_
        else:
            raise TypeError(
                "estimator must be MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor or "
                "MLPEncoder of fastbp, a Pipeline whose last step is one of these, or a search or a "
                f"TransformedTargetRegressor with one of these; got {type(given).__name__} with {type(model).__name__}"
            )
    check_is_fitted(model)
    if isinstance(model, BaseMLP):
        model._check_layers_are_known()
    return Parts(estimator, model, before, target, wrappers)


def with_best(estimator, search):
    """The estimator with the best one of a search in its place, where `score` would be that of the search.

    A search has a score of its own (its `scoring`), which a pipeline around it passes on; a TransformedTargetRegressor
    around it has R² in any case.
    """
    if estimator is search:
        return search.best_estimator_
    if not hasattr(estimator, "steps"):
        return estimator
    *before, (name, last) = estimator.steps
    made = copy(estimator)  # with the same fitted steps
    made.steps = [*before, (name, with_best(last, search))]
    return made


def column_names(table):
    """The names of the columns of a data frame, as text; None for what has none."""
    names = getattr(table, "column_names", None)  # a table of Arrow
    if names is None:
        names = getattr(table, "columns", None)
    return None if names is None else [str(name) for name in names]


def checked_targets(model, y, n_rows):
    """y as an array of as many rows as X."""
    if isinstance(model, MLPEncoder):
        return None
    if y is None:
        raise ValueError(f"{type(model).__name__} requires y to be passed, but the target y is None")
    y = y.toarray() if sparse.issparse(y) else y
    y = y if isinstance(y, (list, tuple)) else np.asarray(y)
    if getattr(y, "ndim", 1) == 0:
        raise ValueError(f"y must have a row for each of the {n_rows} rows of X, got the single value {y}")
    if n_rows_of(y) != n_rows:
        raise ValueError(f"y must have a row for each of the {n_rows} rows of X, got {n_rows_of(y)}")
    return y


def labels_or_numbers(model, X, y):
    """The targets as the model knows them; ValueError for those that it does not."""
    if y is None:
        return None
    if isinstance(model, BaseTabularMLP):
        y = model._check_y(y, X, is_known=True)
        unknown = np.setdiff1d(y, model.classes_).tolist() if hasattr(model, "classes_") else []
        if unknown:
            raise ValueError(f"y holds labels that the model has not learned: {', '.join(map(repr, unknown[:5]))}")
        return y
    y = model._check(X, y, reset=False)[1]
    if getattr(model, "_form", None) == PROBABILITIES and y.ndim == 1:
        y = (y[:, None] == model.classes_).astype(np.float64)  # labels, as rows of probabilities
    model._check_targets(y)
    return y


def after(before, names, X):
    """The rows and the names of their columns after the steps before the model.

    Parameters
    ----------
    before : list of Pipeline
    names : list of str
    X : array-like, sparse matrix or data frame

    Returns
    -------
    X, names
    """
    for steps in before:
        X = steps.transform(X)
        try:
            names = column_names(X) or [str(name) for name in steps.get_feature_names_out(names)]
        except (AttributeError, ValueError):  # a step that knows none, or other names
            names = [f"x{i}" for i in range(X.shape[1])]
    return X, names


def transformed(target, y):
    """The targets as the model was trained on them."""
    if target is None:
        return y
    made = target.transform(y.reshape(-1, 1) if y.ndim == 1 else y)
    return made.ravel() if y.ndim == 1 else made
