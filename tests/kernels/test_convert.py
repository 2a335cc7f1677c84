"""The conversion of rows of X beside NumPy's `astype`; `convert.h`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.network
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels.data import Data
from fastbp.kernels.dispatch import ELEMENTS
from fastbp.mapped import MappedRows
from layouts import misaligned

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
RNG = np.random.default_rng(0)
N_ROWS, N_FEATURES = 7, 530  # more columns than are converted at once, in each layout


def of_random_bits(name):
    """A matrix of all kinds of numbers of a dtype: integers of all sizes; floats that are denormal, infinite, NaN."""
    if name == "bool":
        return RNG.integers(2, size=(N_ROWS, N_FEATURES)).astype(bool)
    dtype = np.dtype(name)
    X = np.frombuffer(RNG.bytes(N_ROWS * N_FEATURES * dtype.itemsize), dtype).reshape(N_ROWS, N_FEATURES).copy()
    if dtype.kind == "f":
        info = np.finfo(dtype)
        X[0, :8] = 0.0, -0.0, info.max, -info.tiny, info.smallest_subnormal, np.inf, -np.inf, np.nan
        X[1] = np.linspace(-3e-45, 3e-45, N_FEATURES) if name == "float64" else X[1]  # denormal in float32
    else:
        info = np.iinfo(dtype)
        X[0, :4] = info.min, info.max, 0, 1
        if dtype.itemsize == 8:  # between two numbers of float64, and of float32
            X[1] = 2**53 + np.arange(N_FEATURES)
            X[2] = 2**62 + 2**38 + np.arange(N_FEATURES) - 100
    return X


def assert_same(found, expected):
    """Bit for bit, but for the bits of NaN."""
    assert found.dtype == expected.dtype
    assert found.flags.c_contiguous
    assert_array_equal(found, expected)
    known = ~np.isnan(expected)
    assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]))


@both_dtypes
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_is_converted_as_by_numpy(name, dtype):
    X = of_random_bits(name)
    layouts = [
        X,
        np.asfortranarray(X),
        X[::-2, 3::5],
        X[:, ::-1],
        X.astype(X.dtype.newbyteorder()),
        np.asfortranarray(X.astype(X.dtype.newbyteorder())),
    ]
    if X.itemsize > 1:
        layouts += [misaligned(X), misaligned(X)[:, ::-1]]
    for array in layouts:
        rows = np.array([2, 0, 2, 1])
        with np.errstate(over="ignore", invalid="ignore"):
            expected = array[rows].astype(dtype, order="C")
        assert_same(Data(array, dtype=dtype).converted_rows(rows), expected)


def test_all_numbers_of_16_bits():
    X = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    for dtype in (np.float32, np.float64):
        with np.errstate(invalid="ignore"):  # NumPy warns of signalling NaN on some processors
            expected = X.astype(dtype)
        assert_same(Data(X, dtype=dtype).converted_rows(np.arange(256)), expected)


@both_dtypes
def test_denormal_numbers_are_converted_where_arithmetic_flushes_them(dtype):
    # 2^-24 is denormal in float16, and 2^-140 in float32
    for X, factor in ((np.full((3, 2), 2.0**-24, np.float16), 2.0**24), (np.full((3, 2), 2.0**-140, "f"), 2.0**140)):
        network = Network([2, 1], dtype=dtype, random_state=0)
        network.params = [factor if dtype == np.float64 or factor < 2**100 else 2.0**127] * 2 + [0]
        read_at_once = network.forward(X)
        assert_array_equal(network.forward_data(data_of(X, dtype)), read_at_once)
        if np.finfo(dtype).tiny < X[0, 0]:
            assert_array_equal(read_at_once, 2)


def data_of(X, dtype):
    """Data whose rows are converted, without targets."""
    return make_data(MappedRows(X, dtype), None, None, 1, np.dtype(dtype))


def test_errors():
    X = np.ones((3, 2), np.uint8)
    with pytest.raises(TypeError, match=r"converted to float32 or float64 from bool, .*float64; got complex128"):
        Data(X.astype(complex), dtype=np.float32)
    with pytest.raises(TypeError, match="converted to float32 or float64 from"):
        Data(X, dtype=np.float16)
    data = Data(X, dtype=np.float32)
    assert data.is_converted
    assert data.dtype == np.float32
    assert data.values is X
    with pytest.raises(ValueError, match=r"rows must lie in \[0, 3\), got 0 to 3"):
        data.converted_rows(np.array([0, 3]))
    with pytest.raises(ValueError, match="rows of X are not converted"):
        Data(np.ones((3, 2))).converted_rows(np.array([0]))


def test_a_program_without_a_buffer_is_refused():
    network = Network([2, 1], random_state=0)
    data = data_of(np.ones((3, 2), np.uint8), np.float64)
    with pytest.raises(ValueError, match="need a program with a buffer for the input"):
        fastbp.network.Predictor(network.program("prediction"), network.params)(data, np.empty((3, 1)))
    with pytest.raises(ValueError, match="the data are float64, the parameters float32"):
        network.astype(np.float32).forward_data(data)
