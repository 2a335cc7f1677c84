"""Models in the ONNX format beside the estimators that they come from."""

import numpy as np

from fastbp import to_onnx


def session_of(model):
    """An onnxruntime session of a ModelProto."""
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(model, feed):
    """The outputs of a ModelProto: a dict of name to array. `feed` is an array X, or a dict of inputs."""
    session = session_of(model)
    feed = feed if isinstance(feed, dict) else {"X": feed}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def tolerance(dtype):
    """How far outputs may differ from 0 on, as a factor of 1 and of their size: rounding in up to ten layers of some
    hundred units. float32 has steps of 1.2e-7, float64 of 2.2e-16."""
    return {"rtol": 1e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


def expected(estimator, X, method, **options):
    """What a method returns, by the names that the outputs have: a dict of name to array."""
    if method == "return_std":
        return {"std": column(estimator.predict(X, return_std=True)[1])}
    if method == "predict_interval":
        lower, upper = estimator.predict_interval(X, **options)
        return {"lower": column(lower), "upper": column(upper)}
    result = getattr(estimator, method)(X)
    is_classifier = hasattr(estimator, "classes_")
    name = {"predict_proba": "probabilities", "predict_log_proba": "log_probabilities"}.get(
        method, "label" if method == "predict" and is_classifier else "variable"
    )
    if is_classifier and isinstance(estimator.classes_, list):
        columns = result if isinstance(result, list) else list(result.T)
        return {f"{name}_{i}": part for i, part in enumerate(columns)}
    return {name: result if is_classifier else column(result)}


def column(values):
    """With two dimensions."""
    return values.reshape(len(values), -1)


def check_agrees(estimator, X, feed=None, *, methods, dtype=None, close=None, coverage=0.9, **options):
    """Compare all outputs of an exported estimator with its methods."""
    model = to_onnx(estimator, outputs=methods, dtype=dtype, coverage=coverage, **options)
    found = run(model, X if feed is None else feed)
    wanted = {}
    for method in methods:
        wanted |= expected(estimator, X, method, **({"coverage": coverage} if method == "predict_interval" else {}))
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        compare(found[name], values, name, close)
    return found


def compare(found, wanted, name, close=None):
    """Labels must be equal, with their type; numbers close, in the same dtype."""
    assert found.shape == wanted.shape, name
    if "label" in name:
        if wanted.dtype.kind in "OU":
            assert found.tolist() == wanted.tolist(), name
        else:
            np.testing.assert_array_equal(found, wanted, name, strict=wanted.dtype.kind != "i")
        return
    assert found.dtype == wanted.dtype, name
    np.testing.assert_allclose(found, wanted, err_msg=name, **(close or tolerance(wanted.dtype)))
