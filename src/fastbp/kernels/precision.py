"""The precisions of a network: the type of its numbers, and the arithmetic of the products with its weights.

float32 and float64 are what NumPy says. bfloat16 has 8 bits of precision, and the range of float32: all numbers stay
float32, and only the matrix products of training steps are in bfloat16, with float32 sums. See Kalamkar et al. (2019),
A study of BFLOAT16 for deep learning training, arXiv:1905.12322.
"""

from dataclasses import dataclass

import numpy as np

from fastbp.kernels.dispatch import TABLES


@dataclass(frozen=True)
class Precision:
    """A value of the parameter `dtype`.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
        Of parameters, data and results.
    table : int
        The kernels of everything but training.
    training_table : int
        The kernels of training steps.
    """

    name: str
    dtype: np.dtype
    table: int
    training_table: int


#: name -> Precision
PRECISIONS = {
    name: Precision(name, np.dtype(dtype), TABLES[dtype], TABLES[name])
    for name, dtype in (("float32", "float32"), ("float64", "float64"), ("bfloat16", "float32"))
}


def precision_of(dtype):
    """The precision that a user asks for.

    Parameters
    ----------
    dtype : dtype or str
        float32, float64 or bfloat16, which may also be the dtype of the package ml_dtypes.

    Returns
    -------
    Precision

    Raises
    ------
    TypeError
        If it is no dtype.
    ValueError
        For another one, or another byte order than the machine's.
    """
    if not (isinstance(dtype, str) and dtype in PRECISIONS):  # NumPy does not know the name bfloat16
        dtype = np.dtype(dtype)
        if not dtype.isnative or dtype.name not in PRECISIONS:
            raise ValueError(f"dtype must be float32, float64 or bfloat16, got {dtype!r}")
        dtype = dtype.name
    return PRECISIONS[dtype]
