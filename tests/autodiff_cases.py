"""Random numbers for the tests of `fastbp.autodiff`."""

import numpy as np

RNG = np.random.default_rng(0)


def begin_anew():
    """The same numbers, whatever ran before."""
    RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state


def normal(*shape):
    """Numbers of both signs, away from 0, where some derivatives jump."""
    return RNG.choice([-1, 1], shape) * RNG.uniform(0.2, 2, shape)


def positive(*shape):
    return RNG.uniform(0.2, 2, shape)
