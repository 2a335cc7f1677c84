"""Initial weights.

A new initializer is one function here and one entry in ``INITIALIZERS``.

==================  =====================================================================================
name                weights (fan_in, fan_out); biases are 0, except for scikit_learn
==================  =====================================================================================
scikit_learn        as glorot_uniform, with sqrt(2 / ...) for the logistic activation; biases are drawn too
glorot_uniform      uniform in [-b, b], b = sqrt(6 / (fan_in + fan_out))
glorot_normal       normal, variance 2 / (fan_in + fan_out)
he_uniform          uniform in [-b, b], b = sqrt(6 / fan_in)
he_normal           normal, variance 2 / fan_in
lecun_uniform       uniform in [-b, b], b = sqrt(3 / fan_in)
lecun_normal        normal, variance 1 / fan_in
orthogonal          orthonormal columns, or orthonormal rows where there are more columns than rows
==================  =====================================================================================

References
----------
Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 12 and 16.

He, Zhang, Ren and Sun (2015), Delving deep into rectifiers, eq. 10.

LeCun, Bottou, Orr and Müller (1998), Efficient BackProp, eq. 16.

Saxe, McClelland and Ganguli (2014), Exact solutions to the nonlinear dynamics of learning in deep linear neural
networks.
"""

from math import sqrt
from numbers import Integral

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from scipy.special import ndtri
from sklearn.utils import check_random_state

from fastbp.kernels._arguments import check_name
from fastbp.kernels.data import Data
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.shuffling import uniform

#: Rows whose pre-activations are the center of a unit, if it is random
ROWS_OF_CENTER = 5
#: Standard deviations below so many rounding errors of the values count as 0
ROUNDING_ERRORS = 100


def scikit_learn(fan_in, fan_out, activation, random_state):
    """Uniform in [-b, b], b = sqrt(6 / (fan_in + fan_out)); sqrt(2 / ...) for the logistic activation.

    Parameters
    ----------
    fan_in, fan_out : int
    activation : str or None
        The activation of the hidden layers, which determines the bound of all layers, the output layer included, also
        where there is no hidden layer.
    random_state : RandomState

    Returns
    -------
    W : ndarray of shape (fan_in, fan_out), float64
    b : ndarray of shape (fan_out,), float64

    References
    ----------
    Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16.
    The order of the draws, the bound of the logistic function and the random intercepts are scikit-learn's.
    """
    bound = sqrt((2 if activation == "logistic" else 6) / (fan_in + fan_out))
    return uniform(random_state, -bound, bound, (fan_in, fan_out)), uniform(random_state, -bound, bound, fan_out)


def normal(random_state, shape):
    """Standard normal numbers: the inverse distribution function of uniform ones, drawn while no other thread runs."""
    return ndtri(np.maximum(uniform(random_state, 0, 1, shape), 2.0**-54))


def uniform_of_variance(variance):
    """An initializer: uniform weights.

    Parameters
    ----------
    variance : callable
        ``variance(fan_in, fan_out)``: that of the weights; the bound is sqrt(3 variance).

    Returns
    -------
    callable
    """

    def draw(fan_in, fan_out, activation, random_state):
        bound = np.sqrt(3 * variance(fan_in, fan_out))
        return uniform(random_state, -bound, bound, (fan_in, fan_out)), np.zeros(fan_out)

    return draw


def normal_of_variance(variance):
    """An initializer: normal weights, not truncated; parameters and result as for `uniform_of_variance`."""

    def draw(fan_in, fan_out, activation, random_state):
        scale = np.sqrt(variance(fan_in, fan_out))
        return scale * normal(random_state, (fan_in, fan_out)), np.zeros(fan_out)

    return draw


def orthogonal(fan_in, fan_out, activation, random_state):
    """Orthonormal columns, or rows where there are more columns than rows: the Q of a normal matrix, uniform among all.

    Parameters
    ----------
    fan_in, fan_out : int
    activation : str or None
        Not used.
    random_state : RandomState

    Returns
    -------
    W : ndarray of shape (fan_in, fan_out), float64
    b : ndarray of shape (fan_out,), float64
        Zeros.
    """
    Q, R = np.linalg.qr(normal(random_state, (max(fan_in, fan_out), min(fan_in, fan_out))))
    Q = Q * np.where(np.diag(R) < 0, -1, 1)  # else the signs would be those of the algorithm
    return (Q if fan_in >= fan_out else Q.T), np.zeros(fan_out)


def glorot(fan_in, fan_out):
    """2 / (fan_in + fan_out)"""
    return 2 / (fan_in + fan_out)


def he(fan_in, fan_out):
    """2 / fan_in"""
    return 2 / fan_in


def lecun(fan_in, fan_out):
    """1 / fan_in"""
    return 1 / fan_in


INITIALIZERS = {
    "scikit_learn": scikit_learn,
    "glorot_uniform": uniform_of_variance(glorot),
    "glorot_normal": normal_of_variance(glorot),
    "he_uniform": uniform_of_variance(he),
    "he_normal": normal_of_variance(he),
    "lecun_uniform": uniform_of_variance(lecun),
    "lecun_normal": normal_of_variance(lecun),
    "orthogonal": orthogonal,
}


def check_initializer(initializer):
    """ValueError unless it is callable or a name in ``INITIALIZERS``."""
    if not callable(initializer):
        check_name("initializer", initializer if isinstance(initializer, str) else repr(initializer), INITIALIZERS)


def draw(initializer, fan_in, fan_out, activation, random_state):
    """The initial parameters of a fully connected layer.

    Parameters
    ----------
    initializer : str or callable
        A name in ``INITIALIZERS``, or ``initializer(fan_in, fan_out, random_state) -> W``; biases are zero then.
    fan_in, fan_out, activation, random_state
        As for `scikit_learn`.

    Returns
    -------
    W : ndarray of shape (fan_in, fan_out)
    b : ndarray of shape (fan_out,)

    Raises
    ------
    TypeError, ValueError
        For a function that returns anything but finite numbers of this shape.
    """
    if not callable(initializer):
        return INITIALIZERS[initializer](fan_in, fan_out, activation, random_state)
    W = np.asarray(initializer(fan_in, fan_out, random_state))
    if W.dtype.kind not in "fiub":
        raise TypeError(f"the initializer {initializer!r} must return real numbers, got dtype {W.dtype}")
    if W.shape != (fan_in, fan_out):
        raise ValueError(f"the initializer {initializer!r} must return shape {(fan_in, fan_out)}, got {W.shape}")
    if not np.isfinite(W).all():
        raise ValueError(f"the initializer {initializer!r} must return finite numbers, got {W[~np.isfinite(W)][0]}")
    return W, np.zeros(fan_out)


def random_centers(z, random_state):
    """For each unit a convex combination of its pre-activations in a few random rows, with weights that are uniform
    among all that sum to 1: exponential ones, divided by their sum.

    Parameters
    ----------
    z : ndarray of shape (n, units)
    random_state : RandomState

    Returns
    -------
    ndarray of shape (units,), float64
    """
    shape = ROWS_OF_CENTER, z.shape[1]
    rows = (uniform(random_state, 0, 1, shape) * len(z)).astype(np.intp)
    weights = -np.log1p(-uniform(random_state, 0, 1, shape)) + np.finfo(float).tiny  # 0 is possible for each of them
    return (np.take_along_axis(z, rows, axis=0) * (weights / weights.sum(axis=0))).sum(axis=0)


def normalize_preactivations(program, params, X, random_state=None):
    """Scale and shift each fully connected layer so that its pre-activations have mean 0, or 0 at a random point within
    the data, and variance 1.

    Layer by layer, from the input to the output: with the center m and the standard deviation s of a unit's
    pre-activation over the rows of X, its weights become w / s and its bias (b - m) / s. A unit whose pre-activation is
    constant is left as it is. A layer without biases is scaled only.

    Parameters
    ----------
    program : Program
        Compiled for INSPECTION.
    params : ndarray of shape (n_params,)
        Overwritten.
    X : ndarray of shape (n, n_features)
        As the kernels read it.
    random_state : RandomState or None
        None: the center is the mean. Else it is drawn: see `random_centers`.

    References
    ----------
    Krähenbühl, Doersch, Donahue and Darrell (2016), Data-dependent initializations of convolutional neural networks,
    algorithm 1; Mishkin and Matas (2016), All you need is a good init. Random centers: Holzmüller, Grinsztajn and
    Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on tabular data, NeurIPS, appendix B
    (the initializations 'std' of the weights and 'he+5' of the biases).
    """
    kept = Linearization(program, params, mirrors_of(program, params), Data(X))
    graph = program.graph
    for number, op in enumerate(graph.operations):
        kept.forward(number)
        if op.kind != "dense":
            continue
        z = kept.value(op.output)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = z.mean(axis=0, dtype=np.float64), z.std(axis=0, dtype=np.float64)
            largest = np.abs(z).max(axis=0)
            center = mean if random_state is None else random_centers(z, random_state)
        is_spread = np.isfinite(scale) & (scale > ROUNDING_ERRORS * np.finfo(z.dtype).eps * largest)
        scale = np.where(is_spread, scale, 1)
        W, *biases = graph.views(op, params)
        W /= scale
        for b in biases:
            b[...] = (b - np.where(is_spread, center, 0)) / scale
        kept.forward(number)


def legacy_generator(random_state):
    """The RandomState to draw from: scikit-learn's ``check_random_state``, for a Generator too.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        Of a Generator, the bit generator is used: the Generator continues after these draws.

    Returns
    -------
    RandomState
    """
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.bit_generator)
    if isinstance(random_state, Integral):
        return seeded_generator(random_state)
    return check_random_state(random_state)


class NoEntropy(ISeedSequence):
    """In place of a `SeedSequence`, for a generator that is seeded afterwards: all words are 0."""

    def generate_state(self, n_words, dtype=np.uint32):
        """A list of zeros, whose items MT19937 reads ten times as fast as those of an array."""
        return [0] * n_words


NO_ENTROPY = NoEntropy()


def seeded_generator(seed):
    """``RandomState(seed)``, in a tenth of its time: that fills the state from the system's entropy first, and then
    seeds it.

    Parameters
    ----------
    seed : int

    Returns
    -------
    RandomState

    Raises
    ------
    ValueError
        Unless the seed is in [0, 2**32 - 1].
    """
    generator = np.random.MT19937(NO_ENTROPY)
    generator._legacy_seeding(seed)  # which drops the seed sequence
    return np.random.RandomState(generator)
