"""bfloat16 in NumPy, and the mark of tests that need a processor with its instructions."""

import numpy as np
import pytest

from fastbp.kernels.dispatch import MISSING_BFLOAT16

needs_bfloat16 = pytest.mark.skipif(MISSING_BFLOAT16 is not None, reason=str(MISSING_BFLOAT16))
#: Rounding to 8 bits of precision errs by at most this factor
UNIT = 2.0**-8


def rounded(x):
    """float32 numbers, finite and not below the normal range, rounded to bfloat16: to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    lowest_kept = bits >> np.uint32(16) & np.uint32(1)
    return (bits + np.uint32(0x7FFF) + lowest_kept & np.uint32(0xFFFF0000)).view(np.float32)


def product(A, B, init=0.0):
    """init + A B, rounded to bfloat16, with float32 sums in the order of the instruction: pairs of k, of which the
    second is added first. A product of two bfloat16 numbers has 16 bits, so it is exact in float32."""
    A, B = rounded(A), rounded(B)
    total = np.broadcast_to(np.float32(init), (len(A), B.shape[1])).copy()
    for k in range(0, A.shape[1], 2):
        for i in (k + 1, k):
            if i < A.shape[1]:
                total += A[:, i : i + 1] * B[i]
    return total
