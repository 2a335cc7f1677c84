from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

MYPY: bool
BaseScorer: Any

# The bases of fastbp's classes are those of scikit-learn for a checker that reads its sources, such as pyright; mypy,
# which takes MYPY for true, does not.
if MYPY:
    from fastbp._mypy_bases import (
        BaseEstimator as BaseEstimator,
    )
    from fastbp._mypy_bases import (
        CallbackSupportMixin as CallbackSupportMixin,
    )
    from fastbp._mypy_bases import (
        ClassifierMixin as ClassifierMixin,
    )
    from fastbp._mypy_bases import (
        ClassNamePrefixFeaturesOutMixin as ClassNamePrefixFeaturesOutMixin,
    )
    from fastbp._mypy_bases import (
        Interval as Interval,
    )
    from fastbp._mypy_bases import (
        InvalidParameterError as InvalidParameterError,
    )
    from fastbp._mypy_bases import (
        Options as Options,
    )
    from fastbp._mypy_bases import (
        RegressorMixin as RegressorMixin,
    )
    from fastbp._mypy_bases import (
        StrOptions as StrOptions,
    )
    from fastbp._mypy_bases import (
        TransformerMixin as TransformerMixin,
    )
else:
    from sklearn.base import (
        BaseEstimator as BaseEstimator,
    )
    from sklearn.base import (
        ClassifierMixin as ClassifierMixin,
    )
    from sklearn.base import (
        ClassNamePrefixFeaturesOutMixin as ClassNamePrefixFeaturesOutMixin,
    )
    from sklearn.base import (
        RegressorMixin as RegressorMixin,
    )
    from sklearn.base import (
        TransformerMixin as TransformerMixin,
    )
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.utils._param_validation import (
        Interval as Interval,
    )
    from sklearn.utils._param_validation import (
        InvalidParameterError as InvalidParameterError,
    )
    from sklearn.utils._param_validation import (
        Options as Options,
    )
    from sklearn.utils._param_validation import (
        StrOptions as StrOptions,
    )

_Method = TypeVar("_Method", bound=Callable[..., Any])

# The decorators return what they are given, for a user of the method
def available_if(check: Callable[[Any], object]) -> Callable[[_Method], _Method]: ...
def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[_Method], _Method]: ...
def attach_unique(*ys: Any, return_tuple: bool = False) -> Any: ...
def check_feature_names(estimator: Any, X: Any, names: Any, *, reset: bool) -> None: ...
def check_n_features(estimator: Any, X: Any, reset: bool) -> None: ...
def make_constraint(constraint: Any) -> Any: ...
def n_rows_of(x: Any) -> int: ...
def check_optimize_result(
    solver: str, result: Any, max_iter: int | None = None, extra_warning_msg: str | None = None
) -> int: ...
def check_partial_fit_first_call(clf: Any, classes: Any = None) -> bool: ...
def checked_sample_weight(
    sample_weight: ArrayLike | None,
    X: Any,
    *,
    ensure_non_negative: bool = False,
    allow_all_zero_weights: bool = False,
) -> NDArray[np.float64]: ...
def openmp_threads() -> int | None: ...
def safe_indexing(X: Any, indices: Any, *, axis: int = 0) -> Any: ...
def threadpool_controller() -> Any: ...
