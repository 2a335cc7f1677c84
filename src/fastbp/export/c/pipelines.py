"""Pipelines of scalers and an estimator: all scalers together are one shift and one factor for each column."""

from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

#: Of a scaled number, in float32
LARGEST_ERROR = 1e-3


@dataclass(frozen=True, eq=False)
class Scaling:
    """What scalers make of the columns of X: ``(x - center) * factor``.

    Attributes
    ----------
    center, factor : ndarray of float64 of shape (n_features,)
    feature_names : tuple of str or None
        Of the columns, where the first scaler was fitted to a data frame.
    """

    center: np.ndarray
    factor: np.ndarray
    feature_names: tuple | None

    def check_single(self):
        """ValueError if float32 is too coarse for a column: the error of a scaled number is about
        ``eps |center factor|``, as x and the center are rounded before their difference is taken."""
        errors = np.finfo(np.float32).eps * np.abs(self.center * self.factor)
        worst = int(np.argmax(errors))
        if errors[worst] > LARGEST_ERROR:
            name = f" ({self.feature_names[worst]!r})" if self.feature_names is not None else ""
            raise ValueError(
                f"the scalers make (x - {self.center[worst]:.6g}) * {self.factor[worst]:.3g} of column {worst}{name}, "
                f"with an error of about {errors[worst]:.2g} in float32: export with dtype='float64', or subtract a "
                "constant from the column before fit"
            )


def standard(scaler, n):
    """(center, factor) of a StandardScaler."""
    center = np.zeros(n) if scaler.mean_ is None or not scaler.with_mean else scaler.mean_
    return center, np.ones(n) if scaler.scale_ is None else 1 / scaler.scale_


def robust(scaler, n):
    """(center, factor) of a RobustScaler."""
    center = np.zeros(n) if scaler.center_ is None else scaler.center_
    return center, np.ones(n) if scaler.scale_ is None else 1 / scaler.scale_


def min_max(scaler, n):
    """(center, factor) of a MinMaxScaler; ValueError for one that clips."""
    check_clip(scaler)
    return -scaler.min_ / scaler.scale_, scaler.scale_


def max_abs(scaler, n):
    """(center, factor) of a MaxAbsScaler; ValueError for one that clips."""
    check_clip(scaler)
    return np.zeros(n), 1 / scaler.scale_


def check_clip(scaler):
    """ValueError for a scaler that clips, which older MaxAbsScalers cannot."""
    if getattr(scaler, "clip", False):
        name = type(scaler).__name__
        raise ValueError(f"{name}(clip=True) of the pipeline cannot be exported: fit it with clip=False")


#: Class of a scaler -> (center, factor) of a scaler and the number of columns
SCALERS = {
    StandardScaler: standard,
    RobustScaler: robust,
    MinMaxScaler: min_max,
    MaxAbsScaler: max_abs,
}


def split_pipeline(estimator):
    """The estimator at the end of a pipeline, and what its scalers do.

    Parameters
    ----------
    estimator : object
        A fitted Pipeline, or anything else.

    Returns
    -------
    estimator : object
    scaling : Scaling or None
        None where there are no scalers.

    Raises
    ------
    TypeError
        For steps that are no scalers.
    ValueError
        For a scaler that clips.
    """
    if not isinstance(estimator, Pipeline):
        return estimator, None
    steps = [(name, step) for name, step in estimator.steps[:-1] if step is not None and step != "passthrough"]
    for name, step in steps:
        if type(step) not in SCALERS:
            names = ", ".join(cls.__name__ for cls in SCALERS)
            raise TypeError(
                f"the step {name!r} of the pipeline, {type(step).__name__}, cannot be exported: only {names} can. "
                "Export the last step, pipeline[-1], and do in front of it what the others do"
            )
        check_is_fitted(step)
    if not steps:
        return estimator[-1], None
    n = steps[0][1].n_features_in_
    center, factor = np.zeros(n), np.ones(n)
    for _, step in steps:  # ((x - a) f - b) g = (x - (a + b / f)) f g
        own_center, own_factor = SCALERS[type(step)](step, n)
        center, factor = center + own_center / factor, factor * own_factor
    names = getattr(steps[0][1], "feature_names_in_", None)
    return estimator[-1], Scaling(center, factor, None if names is None else tuple(map(str, names)))
