"""Models in the ONNX format beside the estimators that they come from."""

import numpy as np

from fastbp import to_onnx

#: Rounding of sums in another order, and of other implementations of exp and tanh, through up to ten layers: of the
#: size of the largest number, or of 1. The steps of float32 are 1.2e-7, those of float64 2.2e-16.
TOLERANCES = {"float32": 1e-6, "float64": 1e-13}
CLASS_METHODS = ("predict", "predict_proba", "predict_log_proba")


def run(model, feed):
    """The outputs of a ModelProto in onnxruntime: a dict of name to array. `feed` is an array X, or a dict."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed if isinstance(feed, dict) else {"X": feed}), strict=True))


def expected(estimator, X, method, coverage=None):
    """What a method returns, by the names that the outputs have: a dict of name to array."""
    if method == "return_std":
        return {"std": in_columns(estimator.predict(X, return_std=True)[1])}
    if method == "predict_interval":
        given = {} if coverage is None else {"coverage": coverage}
        return dict(zip(("lower", "upper"), map(in_columns, estimator.predict_interval(X, **given)), strict=True))
    result = getattr(estimator, method)(X)
    if not hasattr(estimator, "classes_"):
        return {"variable": in_columns(result)}
    names = {"predict": "label", "predict_proba": "probabilities", "predict_log_proba": "log_probabilities"}
    if not isinstance(estimator.classes_, list):
        return {names[method]: result}
    columns = result if isinstance(result, list) else list(result.T)
    return {f"{names[method]}_{number}": column for number, column in enumerate(columns)}


def in_columns(values):
    """With two dimensions."""
    return values[:, None] if values.ndim == 1 else values


def assert_agrees(estimator, X, feed=None, *, methods, tolerance=None, coverage=None, **options):
    """Export an estimator, and compare all outputs with its methods.

    Parameters
    ----------
    estimator : object
        Fitted.
    X : object
        For its methods.
    feed : dict or None
        For the model; None: X.
    methods : tuple of str
    tolerance : float or None
        None for that of the dtype.
    coverage : float or None
        Of intervals; None for the default.
    **options : object
        Of `to_onnx`.

    Returns
    -------
    dict of str to ndarray
        The outputs of the model.
    """
    model = to_onnx(estimator, outputs=methods, coverage=coverage, **options)
    found = run(model, X if feed is None else feed)
    wanted = {}
    for method in methods:
        wanted |= expected(estimator, X, method, coverage)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert_close(found[name], values, name, tolerance)
    return found


def assert_close(found, wanted, name="", tolerance=None):
    """Labels must be equal; numbers close, and of the same dtype."""
    assert found.shape == wanted.shape, name
    if name.startswith("label"):
        assert found.tolist() == wanted.tolist(), name
        return
    assert found.dtype == wanted.dtype, name
    tolerance = TOLERANCES[wanted.dtype.name] if tolerance is None else tolerance
    size = np.abs(wanted).max(initial=1.0, where=np.isfinite(wanted))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * size, err_msg=name)
