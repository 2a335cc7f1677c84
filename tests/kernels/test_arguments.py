"""Arguments of the public functions of the kernels: what is accepted, what is refused, and the messages;
`_arguments.py`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp.kernels import (
    ACTIVATIONS,
    LOSSES,
    activation_backward,
    activation_backward_tangent,
    activation_forward,
    adam_update,
    dense_backward,
    dense_forward,
    loss_on_mean,
    loss_on_mean_tangent,
    loss_on_raw,
    loss_on_raw_tangent,
    sgd_update,
)
from fastbp.kernels._arguments import as_input, as_output, check_name
from layouts import LAYOUTS, misaligned, read_only

N, FAN_IN, FAN_OUT = 5, 3, 4
RNG = np.random.default_rng(0)
X, W, b = RNG.normal(size=(N, FAN_IN)), RNG.normal(size=(FAN_IN, FAN_OUT)), RNG.normal(size=FAN_OUT)
Z, A, dA, Y = RNG.uniform(0.1, 0.9, size=(4, N, FAN_OUT))
g = RNG.normal(size=N)

# name: (function, its inputs by name)
FUNCTIONS = {
    "dense_forward": (lambda **k: dense_forward(**k), dict(X=X, W=W, b=b)),
    "dense_backward": (lambda **k: dense_backward(activation="gelu", **k), dict(dA=dA, X=X, W=W, A=A, Z=Z)),
    "activation_forward": (lambda **k: activation_forward(activation="tanh", **k), dict(Z=Z)),
    "activation_backward": (lambda **k: activation_backward(activation="gelu", **k), dict(dA=dA, A=A, Z=Z)),
    "activation_backward_tangent": (
        lambda **k: activation_backward_tangent(activation="gelu", **k),
        dict(dA=dA, dA_tangent=A, Z=Z, Z_tangent=Y),
    ),
    "loss_on_mean": (lambda **k: loss_on_mean(loss="poisson", **k), dict(Y=Y, A=A)),
    "loss_on_raw": (lambda **k: loss_on_raw(loss="poisson", **k), dict(Y=Y, Z=Z)),
    "loss_on_mean_tangent": (lambda **k: loss_on_mean_tangent(loss="poisson", **k), dict(Y=Y, A=A, dA=dA)),
    "loss_on_raw_tangent": (lambda **k: loss_on_raw_tangent(loss="poisson", **k), dict(Y=Y, Z=Z, dZ=dA)),
}
# name of the function: outputs by name, with their shapes
OUTPUTS = {
    "dense_forward": dict(out=(N, FAN_OUT), Z=(N, FAN_OUT)),
    "dense_backward": dict(dX=(N, FAN_IN), dW=(FAN_IN, FAN_OUT), db=(FAN_OUT,)),
    "activation_forward": dict(out=(N, FAN_OUT)),
    "activation_backward": dict(out=(N, FAN_OUT)),
}
# the input that decides on the dtype, where that is not A
DECIDES = {
    "dense_forward": "X",
    "dense_backward": "X",
    "activation_forward": "Z",
    "activation_backward_tangent": "Z",
    "loss_on_raw": "Z",
    "loss_on_raw_tangent": "Z",
}
# updates: (function of g and the arrays it overwrites, their names)
UPDATES = {
    "sgd_update": (lambda g, **k: sgd_update(g, learning_rate=0.1, **k), ("w", "velocity")),
    "adam_update": (lambda g, **k: adam_update(g, t=1, **k), ("w", "m", "v")),
}
INPUTS = [(kernel, name) for kernel, (_, inputs) in FUNCTIONS.items() for name in inputs]
PLACES = [(kernel, name) for kernel, outputs in OUTPUTS.items() for name in outputs]


def results(kernel, **changes):
    function, inputs = FUNCTIONS[kernel]
    found = function(**{**inputs, **changes})
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kernel", "name"), INPUTS)
def test_layout_of_an_input(kernel, name, layout):
    array = FUNCTIONS[kernel][1][name]
    given = LAYOUTS[layout](array)
    before = np.array(given)
    for actual, expected in zip(results(kernel, **{name: given}), results(kernel), strict=True):
        assert_array_equal(actual, expected)
    assert_array_equal(given, before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("update", UPDATES)
def test_layout_of_a_gradient(update, layout):
    function, names = UPDATES[update]
    expected, actual = ({name: np.ones(N) for name in names} for _ in range(2))
    function(g, **expected)
    given = LAYOUTS[layout](g)
    before = np.array(given)
    function(given, **actual)
    for name in names:
        assert_array_equal(actual[name], expected[name])
    assert_array_equal(given, before)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16, np.int64])
@pytest.mark.parametrize(("kernel", "name"), INPUTS)
def test_integers_become_reals(kernel, name, kind):
    array = (FUNCTIONS[kernel][1][name] > 0.5).astype(kind)
    if kernel.startswith("loss") and name == "A":
        array = np.ones_like(array)  # poisson means are positive
    for dtype in (np.float32, np.float64):
        decides = name == DECIDES.get(kernel, "A")
        if decides and dtype == np.float32:
            continue  # integers decide for float64
        inputs = {k: v.astype(dtype) for k, v in FUNCTIONS[kernel][1].items()}
        actual = results(kernel, **{**inputs, name: array})
        expected = results(kernel, **{**inputs, name: array.astype(dtype)})
        for ours, theirs in zip(actual, expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert_array_equal(ours, theirs)


@pytest.mark.parametrize("bad", [complex, object, "U3", np.float16, np.longdouble, "M8[s]"])
@pytest.mark.parametrize(("kernel", "name"), INPUTS)
def test_dtype_of_an_input(kernel, name, bad):
    if np.dtype(bad) == np.float64:
        pytest.skip("long double is double here")
    array = np.zeros(FUNCTIONS[kernel][1][name].shape, bad)
    with pytest.raises(TypeError, match=f"^{name} must (hold real numbers|be float32 or float64)"):
        results(kernel, **{name: array})


@pytest.mark.parametrize(
    ("kernel", "name"), [(kernel, name) for kernel, name in INPUTS if len(FUNCTIONS[kernel][1]) > 1]
)
def test_inputs_of_two_dtypes(kernel, name):
    array = FUNCTIONS[kernel][1][name].astype(np.float32)
    with pytest.raises(TypeError, match=r"is float(32|64) where the arguments before it are float"):
        results(kernel, **{name: array})


@pytest.mark.parametrize(("kernel", "name"), INPUTS)
def test_dimensions_of_an_input(kernel, name):
    array = FUNCTIONS[kernel][1][name]
    with pytest.raises(ValueError, match=rf"^{name} must have {array.ndim} dimension\(s\)"):
        results(kernel, **{name: array[None]})


@pytest.mark.parametrize(
    ("kernel", "name"), [(kernel, name) for kernel, name in INPUTS if len(FUNCTIONS[kernel][1]) > 1]
)
def test_shape_of_an_input(kernel, name):
    # the message may name a later argument, which no longer fits the one that is wrong
    array = FUNCTIONS[kernel][1][name]
    with pytest.raises(ValueError, match=r"must have shape .* to fit the other arguments, got"):
        results(kernel, **{name: np.concatenate([array, array], axis=-1)})


@pytest.mark.parametrize(("kernel", "name"), PLACES)
def test_output_is_filled_and_returned(kernel, name):
    place = np.full(OUTPUTS[kernel][name], 7.0)
    if (kernel, name) == ("dense_forward", "Z"):
        assert dense_forward(X, W, b, "gelu", Z=place) is not place
        assert_array_equal(place, dense_forward(X, W, b))
        return
    filled = results(kernel, **{name: place})
    position = list(OUTPUTS[kernel]).index(name)
    assert filled[position] is place
    assert_array_equal(place, results(kernel)[position])


def reversed_rows(shape):
    return np.zeros(shape)[::-1]


BAD_OUTPUTS = [
    (lambda shape: np.zeros((shape[0] + 1, *shape[1:])), ValueError, "must have shape"),
    (lambda shape: np.zeros(shape, np.float32), TypeError, "must have dtype float64"),
    (lambda shape: np.zeros(shape, ">f8"), TypeError, "must have dtype float64"),
    (lambda shape: read_only(np.zeros(shape)), ValueError, "is read-only"),
    (reversed_rows, ValueError, "must be C-contiguous"),
    (lambda shape: misaligned(np.zeros(shape)), ValueError, "must be C-contiguous and aligned"),
    (lambda shape: np.zeros(shape).tolist(), TypeError, "must be a numpy.ndarray to write to"),
]
bad_output = pytest.mark.parametrize(("make", "error", "message"), BAD_OUTPUTS, ids=[m for _, _, m in BAD_OUTPUTS])


@bad_output
@pytest.mark.parametrize(("kernel", "name"), PLACES)
def test_unsuitable_output(kernel, name, make, error, message):
    with pytest.raises(error, match=f"^{name} {message}"):
        results(kernel, **{name: make(OUTPUTS[kernel][name])})


@bad_output
@pytest.mark.parametrize("update", UPDATES)
def test_unsuitable_state(update, make, error, message):
    function, names = UPDATES[update]
    for name in names:
        arrays = {k: np.ones(N) for k in names}
        with pytest.raises(error, match=f"^{name} {message}"):
            function(g, **{**arrays, name: make((N,))})
        with pytest.raises(TypeError, match=f"^{name} must be a numpy.ndarray to overwrite, got None"):
            function(g, **{**arrays, name: None})


@pytest.mark.parametrize("update", UPDATES)
def test_overlap_of_gradient_weights_and_states(update):
    function, names = UPDATES[update]
    for i, name in enumerate(names):
        for other in ("g", *names[:i]):
            arrays = {k: np.ones(N) for k in ("g", *names)}
            arrays[name] = arrays[other]
            with pytest.raises(ValueError, match=f"^{name} shares memory"):
                function(**arrays)


@pytest.mark.parametrize(
    ("kernel", "name", "other"),
    [
        (kernel, name, other)
        for kernel, name in PLACES
        for other in {**FUNCTIONS[kernel][1], **OUTPUTS[kernel]}
        if other != name
    ],
)
def test_overlap_of_an_output(kernel, name, other):
    # square layers, so that every matrix can stand in for every other; a vector overlaps with a matrix's first row
    def array(name, memory):
        return memory[:8] if name in ("b", "db") else memory.reshape(8, 8)

    function, inputs = FUNCTIONS[kernel]
    arrays = {k: array(k, np.full(64, 0.5)) for k in inputs}
    shared = np.full(64, 0.5)
    arrays |= {k: array(k, shared) for k in (name, other)}
    with pytest.raises(ValueError, match="shares memory with an input"):
        function(**arrays)


def test_names_are_listed_when_one_is_unknown():
    calls = {
        lambda: dense_forward(X, W, b, "sine"): ("activation", ACTIVATIONS),
        lambda: dense_backward(dA, X, W, A, "sine"): ("activation", ACTIVATIONS),
        lambda: activation_forward(Z, "sine"): ("activation", ACTIVATIONS),
        lambda: activation_backward(dA, A, "sine"): ("activation", ACTIVATIONS),
        lambda: activation_backward_tangent(dA, A, Z, Y, "sine"): ("activation", ACTIVATIONS),
        lambda: loss_on_mean(Y, A, "sine"): ("loss", LOSSES),
        lambda: loss_on_raw(Y, Z, "sine"): ("loss", LOSSES),
        lambda: loss_on_mean_tangent(Y, A, dA, "sine"): ("loss", LOSSES),
        lambda: loss_on_raw_tangent(Y, Z, dA, "sine"): ("loss", LOSSES),
    }
    for call, (kind, table) in calls.items():
        with pytest.raises(ValueError, match=f"^{kind} must be one of .*; got 'sine'") as error:
            call()
        for name in table:
            assert name in str(error.value)


def test_a_suitable_input_is_not_copied():
    assert np.shares_memory(as_input("X", X, 2), X)
    assert as_output("out", X, X.shape, X.dtype) is X
    assert check_name("activation", "relu", ACTIVATIONS) == ACTIVATIONS["relu"]
