"""What the methods return: every form of y, every loss, every option of predictions."""

import numpy as np
import pytest

import fastbp.losses
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, to_onnx
from fastbp.export import outcomes
from fastbp.export.onnx.outcomes import METHODS, METHODS_OF_COLUMN
from fastbp.losses import LOSSES, Gaussian, Quantile
from onnx_cases import CLASS_METHODS, assert_agrees, run

pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
IS_HIGH = X[:, 0] * X[:, 1] > 0
NUMBERS = np.digitize(X[:, 0], [-1, 0, 1])
TEXT = np.array(["Bonn", "Kiel", "Ulm", "Zürich"])

#: Name -> y of a classifier
LABELS = {
    "two integers": 3 * IS_HIGH - 1,
    "integers": NUMBERS * 5 - 2,
    "small integers": NUMBERS.astype(np.int8),
    "unsigned integers": NUMBERS.astype(np.uint64),
    "bools": IS_HIGH,
    "floats": NUMBERS.astype(float),
    "text": TEXT[NUMBERS],
    "two texts": TEXT[IS_HIGH.astype(int)],
    "objects of text": TEXT[NUMBERS].astype(object),
    "one class": np.full(120, 7),
    "one text": np.full(120, "a"),
    "indicators": np.column_stack([IS_HIGH, X[:, 2] > 0, X[:, 3] > 1]).astype(int),
    "columns of integers": np.column_stack([NUMBERS, IS_HIGH]),
    "columns of text": np.column_stack([TEXT[NUMBERS], TEXT[IS_HIGH.astype(int)]]),
    "columns of both": np.column_stack([TEXT[NUMBERS].astype(object), NUMBERS]),
    "probabilities": np.where(IS_HIGH[:, None], [[0.7, 0.2, 0.1]], [[0.05, 0.05, 0.9]]),
    "two probabilities": np.where(IS_HIGH[:, None], [[0.7, 0.3]], [[0.05, 0.95]]),
}
FAST = dict(hidden_layer_sizes=(8,), max_iter=500, tol=0.01, learning_rate_init=0.02, random_state=0)


def test_every_outcome_has_its_methods():
    classes = {cls for cls in vars(outcomes).values() if isinstance(cls, type) and cls.__module__ == outcomes.__name__}
    assert set(METHODS) == classes - {outcomes.Labels, outcomes.ColumnsOfClasses}
    for cls, methods in METHODS.items():
        assert set(methods) == set(getattr(cls, "methods", ("predict", "transform", "forward")))
    assert set(METHODS_OF_COLUMN) == set(outcomes.ColumnsOfClasses.methods)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LABELS)
def test_classes(name, dtype):
    model = MLPClassifier(**FAST).fit(X.astype(dtype), LABELS[name])
    found = assert_agrees(model, X.astype(dtype), methods=CLASS_METHODS)
    labels = np.column_stack([values for key, values in found.items() if key.startswith("label")])
    wanted = model.predict(X.astype(dtype))
    assert (labels.reshape(wanted.shape) == wanted).all()
    if wanted.dtype != object and wanted.dtype.kind != "U":  # integers of all widths are int64 in ONNX
        assert {values.dtype.kind for key, values in found.items() if key.startswith("label")} <= {
            {"u": "i"}.get(wanted.dtype.kind, wanted.dtype.kind)
        }


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", ["bools", "text", "one class", "indicators", "columns of both"])
def test_no_row_and_one_row(name, n):
    model = MLPClassifier(**FAST).fit(X, LABELS[name])
    for values in run(to_onnx(model, outputs=CLASS_METHODS), X[:n]).values():
        assert len(values) == n
    if n:
        assert_agrees(model, X[:n], methods=CLASS_METHODS)


def test_types_and_shapes_are_declared():
    model = MLPClassifier(**FAST).fit(X.astype("f4"), LABELS["text"])
    graph = to_onnx(model).graph
    found = {value.name: value.type.tensor_type for value in [*graph.input, *graph.output]}
    sizes = {name: [d.dim_param or d.dim_value for d in t.shape.dim] for name, t in found.items()}
    assert sizes == {"X": ["n", 4], "label": ["n"], "probabilities": ["n", 4]}
    assert {name: t.elem_type for name, t in found.items()} == {"X": 1, "label": 8, "probabilities": 1}


def test_logarithms_of_probabilities_that_round_to_zero():
    model = MLPClassifier(**FAST).fit(X.astype("f4"), IS_HIGH)
    many = MLPClassifier(**FAST).fit(X.astype("f4"), NUMBERS)
    for one in (model, many):
        one.coefs_[-1] *= 100
        rows = 3 * X.astype("f4")
        # raw outputs of some hundred, of which float32 has steps of 1e-5
        found = assert_agrees(one, rows, methods=CLASS_METHODS, tolerance=1e-5)
        assert found["probabilities"].min() == 0
        assert np.isfinite(found["log_probabilities"]).all()


def test_all_losses_of_classes():
    for loss in ("focal", fastbp.losses.Focal(gamma=0.5), fastbp.losses.LogLoss(label_smoothing=0.1)):
        for y in (IS_HIGH, NUMBERS):
            assert_agrees(MLPClassifier(**FAST, loss=loss).fit(X, y), X, methods=CLASS_METHODS)


def half_squares(y_true, raw_prediction, sample_weight):
    difference = raw_prediction - y_true
    return (difference**2).sum(axis=1) / 2, difference


#: Losses of MLPRegressor: those by name, and others by themselves
LOSSES_OF_NUMBERS = [
    *[name for name, cls in LOSSES.items() if "classification" not in cls.__module__],
    Quantile(0.3),
    Quantile([0.1, 0.5, 0.9]),
    Gaussian(epsilon=0.5),
    half_squares,
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("loss", LOSSES_OF_NUMBERS, ids=lambda loss: getattr(loss, "__name__", str(loss)))
def test_all_losses_of_numbers(loss, n_targets, dtype):
    if isinstance(loss, Quantile) and loss.kernel == "quantiles" and n_targets > 1:
        n_targets = 1  # several quantiles are of one target
    y = np.exp(X[:, :n_targets]) if n_targets > 1 else np.exp(X[:, 0])
    model = MLPRegressor(loss, **FAST).fit(X.astype(dtype), y)
    methods = ("predict", "return_std") if "aussian" in str(loss) else ("predict",)
    found = assert_agrees(model, X.astype(dtype), methods=methods)
    if found["variable"].shape[1] == 3:
        assert (np.diff(found["variable"], axis=1) > 0).all()


def test_deviations_are_finite_where_their_squares_are_not():
    model = MLPRegressor("gaussian", **FAST).fit(X.astype("f4"), X[:, 0])
    model.intercepts_[-1][1] = 120
    # exponents of 60, of which float32 has steps of 4e-6
    found = assert_agrees(model, X.astype("f4"), methods=("return_std",), tolerance=1e-5)
    assert found["std"].min() > 1e19


@pytest.mark.parametrize("activation", ["logistic", "softplus", "tanh", "exp"])
def test_output_activations_of_regressors(activation):
    y = np.column_stack([IS_HIGH, ~IS_HIGH]).astype(float)
    model = MLPRegressor(output_activation=activation, **FAST).fit(X, y)
    assert_agrees(model, X, methods=("predict",))


def test_encoder():
    model = MLPEncoder(2, (5,), MLPRegressor(tol=0.1, max_iter=500, random_state=0)).fit(X)
    assert_agrees(model, X, methods=("transform",))
    assert_agrees(model.decoder_, model.transform(X), methods=("forward",))
