"""Models as C99 source, for devices without Python.

``helpers`` has the functions in C, ``kinds`` which of them an operation of a network calls, ``outcomes`` what methods
make of the output, ``tables`` the columns of ensembles, and ``file`` puts the parts together.
"""

from os import PathLike

from numpy.typing import DTypeLike
from sklearn.base import BaseEstimator

from fastbp.export.c.file import c_source
from fastbp.network import Network
from fastbp.writing import write_atomically

__all__ = ["c_source", "to_c"]


def to_c(
    estimator: BaseEstimator | Network,
    path: str | PathLike[str],
    *,
    prefix: str = "model",
    dtype: DTypeLike | None = None,
    coverage: float | None = None,
) -> None:
    """Write a fitted estimator as one file in C99, which predicts without Python.

    The comment at the beginning of the file describes its functions, what they read, and the labels of the classes.
    With the prefix 'model' they are these:

    ===========================  =====================================================================================
    Python                       C, for one row ``x``
    ===========================  =====================================================================================
    ``predict``                  ``int32_t model_predict(x, work)`` of a classifier is the place of the label in the
                                 table ``model_classes``, or -1 where Python raises an error because the output is not
                                 finite. Of a regressor with one target it is the number. Several labels or targets
                                 are written to ``y``: ``void model_predict(x, y, work)``
    ``predict_proba``            ``void model_predict_proba(x, y, work)``; several columns of labels one after the other
    ``predict_log_proba``        ``void model_predict_log_proba(x, y, work)``
    ``predict`` with return_std  ``void model_predict_with_std(x, mean, std, work)``
    ``predict_interval``         ``void model_predict_interval(x, lower, upper, work)``, for the `coverage` given here
    ``transform``                ``void model_transform(x, y, work)`` of an `MLPEncoder`
    ``forward``                  ``void model_forward(x, y, work)`` of a `Network`, such as the ``decoder_`` of an
                                 `MLPEncoder`
    none                         ``double model_level(column, text)``: see the notes
    ===========================  =====================================================================================

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, MLPEncoder, TabularMLPClassifier, TabularMLPRegressor or Network
        Fitted. Or a Pipeline of StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler and one of these, but for
        the estimators of tables, which scale by themselves.
    path : str or path-like
        Of the file, such as "model.c". There is the old file or the whole new one at any time.
    prefix : str, default="model"
        The beginning of all names, so that a program can have several models.
    dtype : {"float32", "float64"} or None, default=None
        Of ``x``, of the results and of all arithmetic: ``float`` or ``double`` in C. None for that of the fitted
        network. float32 halves the memory, and is many times as fast on processors that compute in single precision
        only. Of pipelines, it is refused for columns whose numbers are large beside their spread: see the notes. Must
        be None for tables, which have doubles in ``x`` and in the results, and networks of floats.
    coverage : float or None, default=None
        Of the intervals of TabularMLPRegressor, above 0 and below 1. None for 0.9, or, where there are too few
        out-of-bag rows for it, for no intervals.

    Raises
    ------
    TypeError
        For other objects, for other steps of a pipeline, and for what C code cannot have, such as labels that are
        neither numbers nor text.
    ValueError
        For a `prefix` that is no name in C, another `dtype` or `coverage`, parameters that are not finite, scalers with
        ``clip=True``, columns in front of scalers that float32 cannot resolve, and text with null characters or more
        than 4095 bytes.
    NotFittedError
    OSError
        Where the file cannot be written.

    Notes
    -----
    The code allocates no memory, has no state, and needs math.h only. What it works in is a structure ``model_work``
    that the caller passes: the stacks of small devices are short, and only the caller knows where there is room.
    Calls with different structures may be made at the same time. The code compiles without warnings as C99 and as
    C++11. Weights are constants, written as the shortest decimal numbers that are read as exactly these weights; their
    size is that of the model. The predictions differ from those of Python by rounding, because sums are added up in
    another order.

    In Python, scalers compute in float64 where X is float64, whatever the dtype of the network is. A file in float32
    has ``x`` in float32 already, with an error of about 1e-7 of its size, and the scalers divide it by the spread of
    the column. Where this makes it more than 1e-3, as for seconds since 1970 within a day, the export raises an error:
    use ``dtype="float64"``, or subtract a constant from the column before fit and before prediction.

    How to build: compile the file by itself, and ``#define MODEL_DECLARATIONS`` in front of an ``#include`` of it
    elsewhere, for the declarations only. Or ``#define MODEL_STATIC`` and include it once: all names are static then.

    ``x`` has one number for each column of X. Of tables, columns of categories that are numbers have these numbers, and
    columns of text have ``model_level(column, text)``, which may be computed beforehand: it is the place of the level
    in the list that the comment shows. NAN stands for a missing value. An x that Python would refuse, with NaN or
    infinities where they are not allowed, gives NaN, -1 or numbers without meaning.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastbp
    >>> from fastbp import MLPRegressor
    >>> model = MLPRegressor(hidden_layer_sizes=(4,), tol=0.01, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> path = Path(tempfile.mkdtemp()) / "model.c"
    >>> fastbp.to_c(model, path, dtype="float32")
    >>> "float model_predict(const float *x, model_work *work);" in path.read_text()
    True
    """
    write_atomically(path, c_source(estimator, prefix=prefix, dtype=dtype, coverage=coverage).encode("ascii"))
