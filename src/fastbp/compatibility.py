"""What fastbp needs of scikit-learn beyond its public interface, and what differs between its versions.

scikit-learn 1.6 and newer are supported. Private helpers, and functions that differ between these versions, are used
through this module only; it finds out what there is, so that all other modules are the same for every version.

The stub beside this module gives what is used of scikit-learn's classes and decorators its types, which scikit-learn
itself does not have.
"""

from collections import Counter
from inspect import signature
from typing import Any

import numpy as np
import sklearn
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.base import _fit_context as fit_context
from sklearn.metrics._scorer import _BaseScorer as BaseScorer
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads, _openmp_parallelism_enabled
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions, make_constraint
from sklearn.utils._unique import attach_unique
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_partial_fit_first_call
from sklearn.utils.optimize import _check_optimize_result as check_optimize_result
from sklearn.utils.parallel import _get_threadpool_controller as threadpool_controller
from sklearn.utils.validation import _check_feature_names, _check_sample_weight, _get_feature_names
from sklearn.utils.validation import _check_n_features as check_n_features
from sklearn.utils.validation import _num_samples as n_rows_of

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """In place of that of scikit-learn 1.9: there is no `set_callbacks`, and the error says why."""

        @property
        def set_callbacks(self) -> Any:
            """Not there: AttributeError."""
            raise AttributeError(
                f"set_callbacks needs scikit-learn 1.9 or newer, and this is {sklearn.__version__}. fastbp's own "
                "callbacks, the parameter `callbacks`, work with every version."
            )


__all__ = [
    "BaseEstimator",
    "BaseScorer",
    "CallbackSupportMixin",
    "ClassNamePrefixFeaturesOutMixin",
    "ClassifierMixin",
    "Interval",
    "InvalidParameterError",
    "Options",
    "RegressorMixin",
    "StrOptions",
    "TransformerMixin",
    "attach_unique",
    "available_if",
    "check_feature_names",
    "check_n_features",
    "check_optimize_result",
    "check_partial_fit_first_call",
    "checked_sample_weight",
    "fit_context",
    "make_constraint",
    "n_rows_of",
    "openmp_threads",
    "safe_indexing",
    "threadpool_controller",
]

#: scikit-learn 1.9 refuses weights that all are zero, unless it is told not to
_MAY_BE_ZERO = "allow_all_zero_weights"
_ZERO_IS_ALLOWED = {_MAY_BE_ZERO: True} if _MAY_BE_ZERO in signature(_check_sample_weight).parameters else {}


def checked_sample_weight(sample_weight, X, *, ensure_non_negative=False, allow_all_zero_weights=False):
    """Sample weights as an array.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), or float
    X : array-like or sparse matrix of shape (n_samples, n_features)
    ensure_non_negative, allow_all_zero_weights : bool
        What they may be.

    Returns
    -------
    ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        For weights that are not finite, another number of them than rows, and what they may not be.
    """
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=ensure_non_negative, **_ZERO_IS_ALLOWED
    )
    if not allow_all_zero_weights and not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weight


class _NamedColumns:
    """Names of columns by the data frame interchange protocol, from which scikit-learn 1.6 to 1.8 take them."""

    def __init__(self, names):
        self.names = names

    def __dataframe__(self):
        return self

    def column_names(self):
        """The names."""
        return self.names


#: polars 2 has no such protocol, and polars 1 warns of its end; scikit-learn 1.9 knows polars itself
_TAKES_NAMES_BY_PROTOCOL = _get_feature_names(_NamedColumns(["name"])) is not None


def check_feature_names(estimator, X, names, *, reset):
    """Set the attribute `feature_names_in_` of an estimator, or check that the columns of X have these names.

    Parameters
    ----------
    estimator : estimator
    X : data frame or array-like
    names : list or None
        Of the columns; None for an X without names.
    reset : bool
        Whether the attribute is set.

    Raises
    ------
    ValueError
        If the columns have other names, or another order; if two have the same name.
    TypeError
        If some names are text and others are not.
    """
    # scikit-learn does so from version 1.9 on
    repeated = [f"- {name!r} {count} times" for name, count in Counter(names or ()).items() if count > 1]
    if repeated:
        raise ValueError("X must have unique column names, got:\n" + "\n".join(repeated))
    if names and _TAKES_NAMES_BY_PROTOCOL:
        X = _NamedColumns(names)
    _check_feature_names(estimator, X, reset=reset)


def openmp_threads():
    """The number of threads of scikit-learn's OpenMP code, or None if it was built without OpenMP.

    Logical processors are counted: to find the number of physical ones, another program would have to be run.

    Returns
    -------
    int or None
    """
    return _openmp_effective_n_threads(only_physical_cores=False) if _openmp_parallelism_enabled() else None
