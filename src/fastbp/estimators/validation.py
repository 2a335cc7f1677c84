"""The validation set: what early stopping holds out, or what `fit` is given as `X_val` and `y_val`."""

from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse

from fastbp.compatibility import checked_sample_weight
from fastbp.data import check_weight_scale, checked_csr, make_data
from fastbp.estimators.inputs import check_names, without_names
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.parameters import is_stochastic
from fastbp.estimators.scoring import Scores, check_predictions, largest_score, scorers_of
from fastbp.estimators.split import split_rows
from fastbp.mapped import as_given
from fastbp.training import EarlyStopping, LossStopping, ValidationSet


@dataclass(frozen=True)
class GivenRows:
    """The arguments of `fit` that bring a validation set, as they came.

    Parameters
    ----------
    X_val, y_val, sample_weight_val
        As for `fit`.
    names : list of str or None
        The names of the columns of an X_val that has none itself.
    is_named : bool
        Whether an X_val without names is unlike an X with names: scikit-learn warns of that. Blocks and files may have
        none.
    """

    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None
    names: list | None = None
    is_named: bool = True

    def __bool__(self):
        return self.X_val is not None

    def check_complete(self):
        """ValueError where some are missing."""
        given = [name for name in ("X_val", "y_val", "sample_weight_val") if getattr(self, name) is not None]
        for name in ("X_val", "y_val"):
            if given and name not in given:
                raise ValueError(f"{given[0]} is provided, but {name} was not provided.")

    def check(self, estimator):
        """ValueError where some are missing, or the solver scores no rows."""
        self.check_complete()
        if self and not is_stochastic(estimator.solver):
            raise ValueError(
                f"X_val and y_val are provided, but solver={estimator.solver!r} scores no rows. Choose a stochastic "
                "solver, or score them in a callback."
            )

    def validation_set(self, estimator, network, y_train):
        """What is computed on the rows after each epoch; arguments as for `checked_rows` and `validation_set`."""
        return validation_set(estimator, network, checked_rows(estimator, self, y_train, network.dtype), True)


@contextmanager
def naming(what):
    """Begin the message of a ValueError or TypeError with what it is about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{what}: {error}") from error


def checked_rows(estimator, given, y_train, dtype):
    """The rows that `fit` is given, validated.

    Parameters
    ----------
    estimator : BaseMLP
        The targets of training are known.
    given : GivenRows
    y_train : ndarray or LabelCounts
        The targets of training.
    dtype : dtype
        Of the network.

    Returns
    -------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    targets : ndarray or sparse matrix
        `y` as the network takes it.
    sample_weight : ndarray of shape (n_samples,) or None

    Raises
    ------
    ValueError, TypeError
        For what `fit` does not accept either, classes that y does not have, or fewer than two rows.
    """
    with naming("X_val and y_val"):
        if given.names is not None:
            check_names("X_val", estimator, given.names)
        of_columns = estimator if given.is_named or hasattr(given.X_val, "columns") else without_names(estimator)
        X, y = of_columns._check(given.X_val, given.y_val, reset=False)
        estimator._check_targets(y)
        targets = estimator._encode(y, dtype)
        n_targets = estimator._fitted_loss.target_width(estimator._n_units)
        if targets.ndim == 2 and targets.shape[1] != n_targets:
            raise ValueError(f"y_val has {targets.shape[1]} columns, but y has {n_targets}")
        if X.shape[0] < 2:
            raise ValueError(f"at least 2 rows are needed to score, got {X.shape[0]}")
    weight = given.sample_weight_val
    if weight is not None:
        with naming("sample_weight_val"):
            check_numeric("sample_weight_val", weight)
            weight = checked_sample_weight(weight, X, ensure_non_negative=True)
    with naming("X_val and y_val"):
        weight = estimator._weighted_by_class(y, weight, y_train)
    if weight is not None:
        with naming("class_weight of y_val" if given.sample_weight_val is None else "sample_weight_val"):
            check_weight_scale(weight, dtype)
    return X, y, targets, weight


def hold_out(estimator, X, y, targets, sample_weight, random_state, attempt):
    """Split the rows for early stopping.

    Parameters
    ----------
    estimator : BaseMLP
        Tells how to stratify.
    X, y, targets, sample_weight
        As `checked_rows` returns them.
    random_state : RandomState
        To draw the split from; where `warm_start` goes on, the split is drawn as in the first fit, so that rows which
        were held out then are not trained on.
    attempt : Attempt
        Takes the warning of classes that are held out as a whole.

    Returns
    -------
    train : ndarray of int64
        The numbers of the rows to train on.
    held_out : tuple
        X, y, targets and sample weights of the other rows.
    """
    generator = getattr(estimator, "_split_generator", None)
    if generator is None:
        estimator._split_generator, generator = deepcopy(random_state), random_state
    else:
        generator = deepcopy(generator)
    stratify = estimator._stratified(targets)
    train, rows = split_rows(X.shape[0], sample_weight, estimator.validation_fraction, stratify, generator)
    untrained = estimator._untrained_classes(targets, train)
    if len(untrained):
        attempt.warn(
            f"early_stopping holds out every row of the classes {', '.join(map(str, untrained))}: none is left to "
            "train on. Bring more rows of them, or lower validation_fraction."
        )
    weight = None if sample_weight is None else sample_weight[rows]
    # SciPy follows the indices of X, to which another thread may write, without a check
    held_out = type(X)(checked_csr("X", X)[rows]) if issparse(X) else X[rows]
    return train, (held_out, y[rows], targets[rows], weight)


def validation_set(estimator, network, rows, is_given):
    """What is computed after each epoch.

    Parameters
    ----------
    estimator : BaseMLP
        The one in training.
    network : Network
        The one in training.
    rows : tuple
        X, y, targets and sample weights.
    is_given : bool
        Whether `fit` was given the rows.

    Returns
    -------
    ValidationSet
    """
    X, y, targets, weight = rows
    with naming("X_val and y_val") if is_given else nullcontext():
        data = make_data(X, targets, weight, network.n_targets, network.dtype)
    scorers = scorers_of(estimator.scoring)
    true_values = estimator._true_values(y)
    check_predictions(scorers, estimator, network.n_outputs, true_values)
    first = next(iter(scorers.values()))
    return ValidationSet(
        data,
        Scores(estimator, network, scorers, as_given(X), true_values, weight),
        tuple(scorers),
        records_loss=is_given,
        loss_scale=estimator._loss_scale,
        score_is_constant=first is None and estimator._score_is_constant(y),
        largest_score=largest_score(first),
    )


def stopping_rule(estimator, network, patience, training_rows, y_train, given, random_state, attempt):
    """The rows to train on, and when to stop.

    Parameters
    ----------
    estimator : BaseMLP
        The one in training.
    network : Network
        The one in training.
    patience : Patience
    training_rows : tuple
        X, y, targets and sample weights that `fit` trains on.
    y_train : ndarray or LabelCounts
        The targets of all rows that it trains on.
    given : GivenRows
    random_state : RandomState
    attempt : Attempt

    Returns
    -------
    rows : ndarray of int64, or None for all rows as they stand
    stopping : LossStopping or EarlyStopping
    """
    X = training_rows[0]
    validation, rows = None, np.arange(X.shape[0], dtype=np.int64) if estimator.shuffle else None
    if given:
        validation = given.validation_set(estimator, network, y_train)
    elif estimator.early_stopping:
        rows, chosen = hold_out(estimator, *training_rows, random_state, attempt)
        validation = validation_set(estimator, network, chosen, False)
    if estimator.early_stopping:
        return rows, EarlyStopping(patience, network, validation, estimator.restore_best)
    return rows, LossStopping(patience, network, validation)
