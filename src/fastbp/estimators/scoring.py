"""What the parameter `scoring` asks for, computed on a validation set."""

import inspect
import math
from collections.abc import Mapping
from numbers import Real

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.utils.multiclass import type_of_target

from fastbp.compatibility import BaseScorer
from fastbp.estimators.attempt import with_attributes
from fastbp.kernels.predictor import all_finite
from fastbp.training.validation import LOSS, call_scorer

#: The name of the estimator's own score, accuracy or R^2
DEFAULT = "score"


def scorers_of(scoring):
    """The scorers that `scoring` asks for, by their names.

    Parameters
    ----------
    scoring : None, str, callable, or list, tuple or dict of these
        As the parameter of the estimators.

    Returns
    -------
    dict of str to (callable or None)
        In order. None stands for what is no scorer: the estimator's own score, by the name 'score', and the loss, by
        the name 'loss'.

    Raises
    ------
    ValueError
        For unknown names, for functions that are metrics and no scorers, for none, or for two of the same name.
    """
    if isinstance(scoring, Mapping):
        names, values = list(scoring), list(scoring.values())
    else:
        values = list(scoring) if isinstance(scoring, (list, tuple)) else [scoring]
        names = [name_of(value) for value in values]
    if not values:
        raise ValueError(f"scoring must name at least one score, got {scoring!r}; None is the estimator's own score")
    for name, value in zip(names, values, strict=True):
        if not isinstance(name, str):
            raise ValueError(f"the keys of scoring must be str, got {name!r}")
        if names.count(name) > 1:
            raise ValueError(f"scoring has {name!r} more than once; give a dict of names and scorers")
        if not (value is None or isinstance(value, str) or callable(value)):
            raise ValueError(f"scoring must hold names of scorers, 'loss', None or callables; got {value!r}")
        if (name == LOSS) != (value == LOSS) or (name == DEFAULT and value is not None):
            raise ValueError(
                f"scoring calls {value!r} {name!r}: 'loss' is the name of the loss, {DEFAULT!r} that of the "
                "estimator's own score (None). Give it another name, in a dict."
            )
    scorers = [None if value is None or value == LOSS else check_scoring(scoring=value) for value in values]
    return dict(zip(names, scorers, strict=True))


def check_predictions(scorers, estimator, n_units, y):
    """Check that scikit-learn's metrics can compare the predictions with y.

    Parameters
    ----------
    scorers : dict of str to (callable or None)
        From `scorers_of`.
    estimator : BaseMLP
    n_units : int
        Of the network's output.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)

    Raises
    ------
    ValueError
        For a metric of scikit-learn, where `predict` returns more numbers for a row than y has, or y has several
        columns of labels.
    """
    names = [name for name, scorer in scorers.items() if is_metric_of_sklearn(scorer)]
    if not names:
        return
    if is_classifier(estimator) and type_of_target(y) == "multiclass-multioutput":
        raise ValueError(
            f"scoring={names[0]!r} is a metric of scikit-learn, which takes no y with several columns of labels. Use "
            "scoring='loss', scoring=None (the share of rows in which all are right), or a callable "
            "scorer(estimator, X, y)."
        )
    predicted = estimator._decode(np.zeros((1, n_units))).shape[1:]
    if predicted != y.shape[1:]:
        raise ValueError(
            f"scoring={names[0]!r} compares y with predictions of the same shape, but with loss={estimator.loss!r} "
            f"predict returns {predicted[0]} numbers for each row. Use scoring='loss', scoring=None (R^2 of one of "
            "them), or a callable scorer(estimator, X, y) that knows what they are."
        )


def is_metric_of_sklearn(scorer):
    """Whether a scorer computes a metric of scikit-learn, and not one of the user's."""
    return getattr(getattr(scorer, "_score_func", None), "__module__", "").startswith("sklearn.")


def name_of(scoring):
    """The name of one score: the scorer's, or that of its function."""
    if scoring is None:
        return DEFAULT
    if isinstance(scoring, str):
        return scoring
    function = getattr(scoring, "_score_func", scoring)
    return getattr(function, "__name__", None) or type(function).__name__


def takes_weight(scorer):
    """Whether a scorer takes sample weights."""
    if isinstance(scorer, BaseScorer):
        return "sample_weight" in inspect.signature(scorer._score_func).parameters
    try:
        parameters = inspect.signature(scorer).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


class KnownOutput:
    """In place of ``_forward`` of an estimator: the output for the rows of one X is known, that of others is computed.

    Parameters
    ----------
    model : BaseMLP
    X : ndarray or sparse matrix of shape (n_samples, n_features)
    output : ndarray of shape (n_samples, n_outputs)
    """

    def __init__(self, model, X, output):
        self.model, self.X, self.output = model, X, output

    def __call__(self, X, raw=False):
        if X is self.X and not raw:
            return self.output.copy()
        return self.model._forward(X, raw)


class Scores:
    """The scores of a network on a validation set.

    Parameters
    ----------
    estimator : BaseMLP
        The one in training.
    network : Network
        The one in training.
    scorers : dict of str to (callable or None)
        From `scorers_of`.
    X : ndarray or sparse matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, estimator, network, scorers, X, y, sample_weight):
        self.estimator, self.network = estimator, network
        self.scorers = {name: scorer for name, scorer in scorers.items() if name != LOSS}
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.first = next(iter(scorers))

    def __call__(self, output):
        """The scores, in the order of the scorers; NaN where the output is not finite.

        Parameters
        ----------
        output : ndarray of shape (n_samples, n_outputs)
            Of the network.

        Returns
        -------
        list of float
        """
        scores, model = [], None
        is_finite = all_finite(output) if any(self.scorers.values()) else None
        for name, scorer in self.scorers.items():
            if scorer is None:
                scores.append(self.own_score(output))
            elif not is_finite:
                scores.append(math.nan)
            else:
                model = self.fitted(output) if model is None else model
                scores.append(self.checked_score(name, scorer, model))
        return scores

    def own_score(self, output):
        """Accuracy or R^2."""
        predictions = self.estimator._scored(self.estimator._decode(output))
        if predictions.dtype.kind == "f" and not np.isfinite(predictions).all():
            return math.nan
        with np.errstate(over="ignore", invalid="ignore"):
            return float(self.estimator._score_function(self.y, predictions, sample_weight=self.sample_weight))

    def fitted(self, output):
        """The estimator as if training had ended now; it knows its output for X."""
        model = with_attributes(self.estimator, vars(self.estimator).copy())
        model._adopt(self.network)
        view = with_attributes(model, vars(model).copy())
        view._forward = KnownOutput(model, self.X, output)
        return view

    def checked_score(self, name, scorer, model):
        """The score, checked."""
        weight = self.sample_weight
        options = {} if weight is None or not takes_weight(scorer) else {"sample_weight": weight}
        ignored = {"over": "ignore", "invalid": "ignore"} if is_metric_of_sklearn(scorer) else {}
        with np.errstate(**ignored):
            score = call_scorer(scorer, model, self.X, self.y, **options)
        if isinstance(score, np.ndarray) and score.ndim == 0:
            score = score[()]
        if not isinstance(score, (Real, np.bool_)):
            raise TypeError(f"scoring: {name!r} must return a number, got {type(score).__name__} {score!r}")
        if math.isnan(score) and name == self.first:
            raise ValueError(
                f"scoring: {name!r} is NaN on the validation set, which cannot tell when to stop and which weights are "
                "best. Choose a score that is defined for these rows, or rows for which it is defined; scores that "
                "only are to be recorded come after the first."
            )
        return float(score)


def largest_score(scorer):
    """The largest value that a score can have, as far as scikit-learn's conventions tell."""
    return 0.0 if getattr(scorer, "_sign", 1) < 0 else 1.0
