"""Dates, durations and text are refused: in X, in a regressor's y, in sample_weight."""

import datetime

import numpy as np
import pytest

from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data

pd = pytest.importorskip("pandas")

N = 50
DATES = np.arange(N).astype("datetime64[D]")
NAT = np.full(N, np.datetime64("NaT", "ns"))
DURATIONS = np.arange(N).astype("timedelta64[s]")

# What a column may hold, and what the message says of it
COLUMNS = {
    "dates": (DATES, r"datetime64\[D\].*days since"),
    "NaT": (NAT, "datetime64.*days since"),
    "durations": (DURATIONS, "timedelta64.*Divide"),
    "text": (np.full(N, "7.5"), "U3.*Encode"),
    "bytes": (np.full(N, b"7.5"), "S3.*Encode"),
    "objects": (np.array(["7.5"] * N, dtype=object), "'7.5', a str.*Encode"),
    "bytes objects": (np.array([b"7.5"] * N, dtype=object), "b'7.5', a bytes.*Encode"),
    "datetime": (np.array([1.0] * (N - 1) + [datetime.datetime(2020, 1, 2)], dtype=object), "datetime.*days since"),
    "timedelta": (np.array([1.0] * (N - 1) + [datetime.timedelta(1)], dtype=object), "timedelta.*Divide"),
    "NaT among numbers": (np.array([1.0] * (N - 1) + [pd.NaT], dtype=object), "NaT.*days since"),
    "datetime64 objects": (np.array([np.datetime64("NaT", "ns")] * N, dtype=object), "NaT.*days since"),
}
every_column = pytest.mark.parametrize("column", COLUMNS)


def array_with(column):
    """An array of objects whose column 2 is `column`."""
    X = make_data(N)[0].astype(object)
    X[:, 2] = list(column)
    return X


@pytest.mark.fault(59)
@both_estimators
@every_column
def test_a_column_of_an_array(Estimator, column):
    values, _ = COLUMNS[column]
    y = make_data(N)[1]
    model = Estimator(**SMALL).partial_fit(make_data(N)[0], y, **first(Estimator))
    X = array_with(values)
    for call in (model.fit, model.partial_fit, model.score):
        with pytest.raises(TypeError, match="X must hold numbers, and column 2 of X holds"):
            call(X, y)
    for bad in (X, X.tolist()):
        with pytest.raises(TypeError, match="X must hold numbers, and column 2 of X holds"):
            model.predict(bad)


@pytest.mark.fault(7)
@pytest.mark.fault(59)
@both_estimators
@every_column
def test_an_array_of_them(Estimator, column):
    values, message = COLUMNS[column]
    with pytest.raises(TypeError, match=f"X must hold numbers, and column 0 of X holds.*{message}"):
        Estimator(**SMALL).fit(np.c_[values, values], make_data(N)[1])


@pytest.mark.fault(59)
@both_estimators
@every_column
def test_a_column_of_a_frame(Estimator, column):
    values, _ = COLUMNS[column]
    X, y = make_data(N)
    X = pd.DataFrame(X, columns=list("abcdef"))
    X["c"] = values
    with pytest.raises(TypeError, match="X must hold numbers, and column 'c' of X holds"):
        Estimator(**SMALL).fit(X, y)


@pytest.mark.fault(59)
@pytest.mark.parametrize("dtype", ["datetime64[ns, UTC]", "category", "string"])
def test_dtypes_of_pandas(dtype):
    X = pd.DataFrame({"a": np.ones(N), "when": pd.Series(DATES.astype("datetime64[ns]")).dt.tz_localize("UTC")})
    if dtype != "datetime64[ns, UTC]":
        X["when"] = pd.Series(["x"] * N, dtype=dtype)
    with pytest.raises(TypeError, match=r"column 'when' of X holds (values of dtype datetime64|'x', a str)"):
        MLPRegressor(**SMALL).fit(X, np.ones(N))


def test_a_frame_of_polars():
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({"a": np.arange(N) % 3.0, "when": DATES})
    with pytest.raises(TypeError, match=r"column 'when' of X holds"):
        MLPRegressor(**SMALL).fit(X, np.ones(N))
    MLPRegressor(**SMALL | dict(max_iter=1, batch_size="auto")).partial_fit(X.select("a"), np.ones(N))


@pytest.mark.fault(59)
@every_column
def test_targets_of_a_regressor(column):
    values, _ = COLUMNS[column]
    X = make_data(N)[0]
    model = MLPRegressor(**SMALL)
    for y in (values, pd.Series(values), list(values)):
        with pytest.raises(TypeError, match="y must hold numbers, and y holds"):
            model.fit(X, y)
        with pytest.raises(TypeError, match="y must hold numbers, and y holds"):
            model.partial_fit(X, y)
    with pytest.raises(TypeError, match="y must hold numbers, and column 2 of y holds"):
        model.fit(X, array_with(values))


@pytest.mark.fault(59)
@both_estimators
@every_column
def test_sample_weight(Estimator, column):
    X, y = make_data(N)
    with pytest.raises(TypeError, match="sample_weight must hold numbers, and sample_weight holds"):
        Estimator(**SMALL).fit(X, y, COLUMNS[column][0])


@both_estimators
def test_numbers_of_every_kind_pass(Estimator):
    X, y = make_data(N)
    X = X.round()
    model = Estimator(**SMALL | dict(max_iter=1)).partial_fit(X, y, **first(Estimator))
    expected = model.predict(X)
    frame = pd.DataFrame(X.astype(int))
    for same in (
        X.astype(int),
        X.astype(object),
        X.tolist(),
        X.astype(int).astype(object).tolist(),
        frame,
        frame.astype("Int64"),
        frame.astype(object),
        frame.astype("category"),
        frame.astype(pd.SparseDtype(int)),
    ):
        np.testing.assert_array_equal(model.predict(same), expected)


def test_text_is_fine_for_classes():
    X, y = make_data(N)
    assert set(MLPClassifier(**SMALL).partial_fit(X, y.astype(str), classes=["0", "1", "2"]).predict(X)) <= set("012")


def first(Estimator):
    return {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}


@both_estimators
def test_records_are_refused(Estimator):
    X, y = make_data(N)
    records = np.zeros(N, dtype=[("a", float), ("b", float)])
    with pytest.raises(TypeError, match=r"X must hold numbers.*structured_to_unstructured"):
        Estimator(**SMALL).fit(records[:, None], y)
    with pytest.raises(TypeError, match=r"sample_weight must hold numbers"):
        Estimator(**SMALL).fit(X, y, records)
    if Estimator is MLPRegressor:
        with pytest.raises(TypeError, match=r"y must hold numbers"):
            Estimator(**SMALL).fit(X, records)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_integers_beyond_float64_are_refused():
    X, y = make_data(N)
    huge = X.astype(object)
    huge[3, 1] = -(10**400)
    for arguments in ((huge, y), (huge.tolist(), y), (X, [10**400] * N), (X, y, [10**400] * N)):
        with pytest.raises(ValueError, match="1329 bits is too large"):
            MLPRegressor(**SMALL).fit(*arguments)
    assert MLPRegressor(**SMALL).fit(X, [2**60 * int(c > 0) for c in y]).loss_ > 1e30


@pytest.mark.fault(3)
def test_missing_targets_are_named():
    X, _ = make_data(N)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        MLPRegressor(**SMALL).fit(X, [None] * N)
    with pytest.raises(ValueError, match="Input y contains None"):
        MLPClassifier(**SMALL).fit(X, ["a", None] * (N // 2))
