"""Values of parameters in JSON and tensors, and back; `encoding.py`, `decoding.py`, `arrays.py`, `generators.py`."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from case_names import case_name
from fastbp.files.decoding import Decoder
from fastbp.files.encoding import DEPTH_LIMIT, INLINE_FLOATS, Encoder
from fastbp.files.errors import Unsavable
from fastbp.files.generators import BIT_GENERATORS
from file_cases import assert_same


def again(value):
    """What a file would make of a value."""
    encoder = Encoder()
    text = json.dumps(encoder.encode(value, "value"), allow_nan=False)
    decoder = Decoder(encoder.tensors, len(text))
    decoded = decoder.decode(json.loads(text), "value")
    decoder.finish()
    return decoded


SCALARS = [
    None, True, False, 0, -1, 2**100, -(2**200), 0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, float("nan"),
    float("inf"), float("-inf"), np.frombuffer(b"\x01\0\0\0\0\0\xf8\xff")[0].item(), "", "text", "\ud800",
    "\0\n\"$'é😀", b"", b"\0\xff", slice(None), slice(1, None, -1),
]  # fmt: skip


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_scalars(value):
    assert_same(again(value), value)


NUMPY_SCALARS = [
    np.bool_(True), np.int8(-3), np.uint64(2**64 - 1), np.float16(0.1), np.float32(0.1), np.float64(-0.0),
    np.float32("nan"), np.float64("inf"), np.str_("text"), np.str_(""), np.bytes_(b"a"),
    np.datetime64("2020-01-01"), np.datetime64("NaT", "s"), np.timedelta64(3, "ms"),
]  # fmt: skip


@pytest.mark.parametrize("value", NUMPY_SCALARS, ids=repr)
def test_scalars_of_numpy(value):
    assert_same(again(value), value)


@pytest.mark.parametrize(
    "value",
    [
        [], (), {}, [[]], ([1], (2,)), {"a": {"b": [1, (2, None)]}}, {1: "a", (2, "b"): 3.0, None: None},
        {"$type": 1}, {"$tuple": [1]}, {"": 1, "a.b": [0.5] * 1000, "a": {"b": [0.25] * 1000}},
        {np.int64(1): np.float32(2)}, np.dtype("f4"), np.dtype(">i8"), [float(i) for i in range(INLINE_FLOATS + 1)],
        [float("nan"), -0.0] * INLINE_FLOATS, [1, 2.0] * INLINE_FLOATS,
    ],
    ids=repr,
)  # fmt: skip
def test_containers(value):
    assert_same(again(value), value)


ARRAYS = [
    np.arange(3), np.arange(10_000), np.zeros((0, 3)), np.zeros((3, 0), int), np.array(1.5), np.array(3),
    np.array([True, False]), np.arange(6.0).reshape(2, 3).astype(">f4"), np.arange(6, dtype=">i2"),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(12.0)[::2], np.array(["a", "bcd"]), np.array(["a", "\U0001f600"], "<U9"), np.array([["a"], ["b"]]),
    np.array(["a", "b"], ">U3"), np.array([b"a", b"bc"]), np.array([], "U3"), np.array(["x", 1, None, 2.5], object),
    np.array([np.int64(3), "a"], object), np.array(["2020-01-01", "NaT"], "M8[D]"), np.array([1, 2], "m8[ns]"),
    np.array([np.nan, -0.0, np.inf], "f2"), np.array([], object), np.array("text"),
]  # fmt: skip


@pytest.mark.parametrize("value", ARRAYS, ids=repr)
def test_arrays(value):
    found = again(value)
    assert_same(found, value)
    is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    assert found.flags.f_contiguous if is_fortran else found.flags.c_contiguous
    assert found.flags.writeable


def test_arrays_in_a_file(tmp_path):
    mapped = np.memmap(tmp_path / "array", np.float64, "w+", shape=(3,))
    mapped[:] = 2.0
    assert_same(again(mapped), np.array([2.0, 2.0, 2.0]))


@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_generators(name):
    generator = np.random.Generator(BIT_GENERATORS[name](np.random.SeedSequence(7, spawn_key=(1, 2))))
    generator.spawn(1)
    generator.integers(2**31, size=3, dtype=np.int32)
    decoded = again(generator)
    assert_same(decoded, generator)
    for _ in range(3):
        assert_same(
            decoded.integers(2**31, size=700, dtype=np.int32), generator.integers(2**31, size=700, dtype=np.int32)
        )
        assert_same(decoded.normal(size=5), generator.normal(size=5))
        assert_same(decoded.spawn(1)[0].normal(size=5), generator.spawn(1)[0].normal(size=5))


@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_random_states(name):
    random_state = np.random.RandomState(BIT_GENERATORS[name](3))
    random_state.normal()  # which keeps a second variate
    decoded = again(random_state)
    assert_same(decoded, random_state)
    assert_same(decoded.normal(size=1000), random_state.normal(size=1000))


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
KEYS = st.text() | st.integers() | st.booleans() | st.none()
TREES = st.recursive(
    PLAIN | arrays(st.sampled_from(["f4", "f8", ">f8", "i4", "u1", "?", "U3", "S2"]), array_shapes(min_side=0)),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


@given(value=TREES)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_trees(value):
    assert_same(again(value), value)


def deep(n):
    value = 0
    for _ in range(n):
        value = [value]
    return value


def test_depth():
    assert_same(again(deep(DEPTH_LIMIT - 1)), deep(DEPTH_LIMIT - 1))
    with pytest.raises(Unsavable):
        again(deep(DEPTH_LIMIT))
    endless = []
    endless.append(endless)
    with pytest.raises(Unsavable):
        again(endless)
    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        Decoder({}, 1000).decode(deep(DEPTH_LIMIT), "value")


class Text(str):
    pass


@pytest.mark.parametrize(
    "value",
    [
        len, lambda: 0, object(), int, 1j, np.complex128(1), np.longdouble(1), np.zeros(2, complex), range(3), {1, 2},
        Text("a"), np.ma.array([1]), np.zeros(2, "f4,i4"), np.array([[1], "a"], object), np.array([len]), np, ...,
        np.random.default_rng(0).bit_generator, np.dtype("f4,i4"),
    ],
    ids=case_name,
)  # fmt: skip
def test_what_is_refused(value):
    for tree, place in ((value, "value"), ([0, {"a": value}], r"value\[1\]\.a")):
        with pytest.raises(Unsavable, match=place):
            again(tree)


def decode(node, tensors=()):
    return Decoder(dict(tensors), len(json.dumps(node))).decode(node, "value")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"$scalar": ["<i4", 2**40]}, ""),
        ({"$scalar": ["<i4", True]}, "no scalar"),
        ({"$scalar": ["<f8", "00"]}, "no scalar"),
        ({"$scalar": ["|O", "00"]}, "no scalar"),
        ({"$scalar": ["<U99999999", "a"]}, "more memory"),
        ({"$scalar": ["<i4"]}, "list of 2"),
        ({"$scalar": [3, 3]}, "unknown dtype"),
        ({"$array": {"dtype": "<f8", "shape": [1], "values": [1.0]}}, "must be a tensor"),
        ({"$array": {"dtype": "<i8", "shape": [1], "values": [1.5]}}, "holds 1.5"),
        ({"$array": {"dtype": "<i8", "shape": [1], "values": [True]}}, "holds True"),
        ({"$array": {"dtype": "|b1", "shape": [1], "values": [1]}}, "holds 1"),
        ({"$array": {"dtype": "|i1", "shape": [1], "values": [300]}}, ""),
        ({"$array": {"dtype": "|O", "shape": [1], "values": [[1]]}}, "holds"),
        ({"$array": {"dtype": "|O", "shape": [-1], "values": [1]}}, "shape"),
        ({"$array": {"dtype": "|O", "shape": [0, 2**62], "values": []}}, "shape"),
        ({"$array": {"dtype": "|O", "shape": [1] * 50, "values": [1]}}, "shape"),
        ({"$array": {"dtype": "|O", "shape": [1], "values": [1], "order": "X"}}, "order"),
        ({"$array": {"dtype": "|O", "shape": [1]}}, "must have the parts"),
        ({"$tensor": {"name": "x", "dtype": "<f8"}}, "which is not there"),
        ({"$tensor": {"name": ["x"], "dtype": "<f8"}}, "which is not there"),
        ({"$floats": "x"}, "which is not there"),
        ({"$dict": [[1, 2], [1, 3]]}, "a key twice"),
        ({"$dict": [[1]]}, "list of 2"),
        ({"$dict": 3}, "list of pairs"),
        ({"$tuple": 3}, "must be a list"),
        ({"$bytes": 3}, "must be a string"),
        ({"$bytes": "zz"}, "hexadecimal"),
        ({"$float": "00" * 9}, "8 bytes"),
        ({"$slice": [1, 2]}, "list of 3"),
        ({"$dtype": "x"}, "unknown dtype"),
        ({"$type": "builtins.eval"}, "unknown class"),
        ({"$type": None}, "unknown class"),
        ({"$x": 1}, "unknown tag"),
        ({"$tuple": [], "$x": []}, "too many values"),
        ({"$type": "layers.Dense", "units": 0}, "units must be"),
        ({"$type": "layers.Dense"}, "units"),
        ({"$type": "layers.Dense", "units": 3, "code": "x"}, "parts"),
        ({"$type": "callbacks.History", "fits": [{"loss": ["x"]}]}, "lists of numbers"),
    ],
)  # fmt: skip
def test_what_no_encoder_has_written(node, reason):
    with pytest.raises((ValueError, TypeError, OverflowError), match=reason or None):
        decode(node)


@pytest.mark.parametrize(
    ("node", "tensor"),
    [
        ({"$tensor": {"name": "x", "dtype": "<f8"}}, np.zeros(3, np.float32)),
        ({"$tensor": {"name": "x", "dtype": "<M8[D]"}}, np.zeros(3)),
        ({"$tensor": {"name": "x", "dtype": "|O"}}, np.zeros(3)),
        ({"$tensor": {"name": "x", "dtype": "<U1"}}, np.zeros(3, np.int32)),
        ({"$floats": "x"}, np.zeros(3, np.float32)),
        ({"$floats": "x"}, np.zeros((3, 1))),
    ],
)
def test_tensors_of_another_dtype(node, tensor):
    with pytest.raises(ValueError, match=r"float64|tensor"):
        decode(node, {"x": tensor})
