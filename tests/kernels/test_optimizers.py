"""Updates: kernel and twin over several steps; `optimizers.pyx` and `optimizers.h`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_array_max_ulp

import reference
from fastbp.kernels import OPTIMIZERS, adam_update, optimizer_update, sgd_update
from fastbp.kernels.dispatch import N_MEMORY, N_STATES, OPTIMIZER_CONSTANTS

SIZES = (1, 2, 3, 7, 8, 9, 31, 33, 100)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

SGD = [
    dict(learning_rate=0.1, momentum=0.0, nesterov=False),
    dict(learning_rate=0.1, momentum=0.9, nesterov=False),
    dict(learning_rate=0.1, momentum=0.9, nesterov=True),
    dict(learning_rate=0.01),
]
ADAM = [dict(), dict(learning_rate=0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-3), dict(beta_1=0.0, beta_2=0.0)]


def update(g, w, state, t, constants):
    """One step of the kernel that the number of states tells, in place."""
    if len(state) == 1:
        return sgd_update(g, w, *state, **constants)
    return adam_update(g, w, *state, t, **constants)


CASES = [(reference.sgd_update, 1, c) for c in SGD] + [(reference.adam_update, 2, c) for c in ADAM]
every_update = pytest.mark.parametrize(("twin", "n_states", "constants"), CASES)


@every_update
@both_dtypes
def test_twin(twin, n_states, constants, dtype):
    rng = np.random.default_rng(0)
    for n in SIZES:
        w = rng.normal(size=n).astype(dtype)
        state = [np.zeros(n, dtype) for _ in range(n_states)]
        w_twin, state_twin = w.astype(np.float64), [s.astype(np.float64) for s in state]
        for t in range(1, 6):
            g = rng.normal(size=n).astype(dtype)
            g[0] = 0
            assert update(g, w, state, t, constants) is None
            w_twin, state_twin = twin(g.astype(np.float64), w_twin, state_twin, t, **constants)
        # five steps of some six roundings each; the float32 constants are rounded once besides
        eps = np.finfo(dtype).eps
        assert_allclose(w, w_twin, rtol=60 * eps, atol=60 * eps)
        for s, s_twin in zip(state, state_twin, strict=True):
            assert_allclose(s, s_twin, rtol=60 * eps, atol=60 * eps)


@every_update
@both_dtypes
def test_value_does_not_depend_on_position(twin, n_states, constants, dtype):
    rng = np.random.default_rng(0)
    g, w0, s0 = rng.normal(size=(3, 100)).astype(dtype)
    s0 = np.abs(s0)
    w, state = w0.copy(), [s0.copy() for _ in range(n_states)]
    update(g, w, state, 3, constants)
    for part in (slice(i, i + k) for i in range(17) for k in (1, 2, 3, 8, 31)):
        w_part, state_part = w0[part].copy(), [s0[part].copy() for _ in range(n_states)]
        update(g[part], w_part, state_part, 3, constants)
        assert_array_equal(w_part, w[part])
        for s, s_part in zip(state, state_part, strict=True):
            assert_array_equal(s_part, s[part])


@both_dtypes
def test_plain_gradient_descent(dtype):
    # powers of two: exact
    w, velocity = np.ones(5, dtype), np.zeros(5, dtype)
    sgd_update(np.full(5, 0.5, dtype), w, velocity, learning_rate=0.25, momentum=0.0, nesterov=False)
    assert_array_equal(w, np.full(5, 0.875))
    assert_array_equal(velocity, np.full(5, -0.125))


@both_dtypes
def test_first_step_of_adam_is_the_learning_rate(dtype):
    # m / sqrt(v) with the bias corrections is the sign of g
    g = np.array([1e-3, -5.0, 2.0, -1e3], dtype)
    w, m, v = np.zeros((3, 4), dtype)
    adam_update(g, w, m, v, 1, learning_rate=0.125, epsilon=1e-12)
    # some roundings, and epsilon / sqrt(v) = 1e-12 / 3e-5
    assert_allclose(w, -0.125 * np.sign(g), rtol=1e-5 if dtype == np.float32 else 1e-7)


def test_the_clock_of_adam_starts_at_one():
    g, w, m, v = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"t counts the steps.*at least 1, got 0"):
        adam_update(g, w, m, v, 0)


def adam_quotient(m, v, epsilon, learning_rate=1.0):
    """learning_rate m / (sqrt(v) + epsilon) as an update by Adam computes it; m and v must be exact halves."""
    g, w = np.zeros_like(m), np.zeros_like(m)
    # (g = 0, beta = 1/2): m and v are halved; at this t the bias corrections are 1
    adam_update(g, w, 2 * m, 2 * v, 5000, learning_rate=learning_rate, beta_1=0.5, beta_2=0.5, epsilon=epsilon)
    return -w


@both_dtypes
@pytest.mark.parametrize("epsilon", [1e-8, 1e-30, 0.5])
def test_quotient_of_adam_is_within_one_ulp(dtype, epsilon):
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    # every exponent of v, and numerators as far from sqrt(v) as is a quotient that is a normal number
    exponents = np.arange(info.minexp, info.maxexp - 2).repeat(97)
    v = np.ldexp(1 + rng.random(len(exponents)), exponents).astype(dtype)
    denominator = np.sqrt(v) + dtype(epsilon)
    m = np.ldexp(denominator * rng.uniform(-1, 1, len(v)), rng.integers(-20, 20, len(v))).astype(dtype)
    kept = (np.abs(m) < info.max / 4) & (np.abs(m) > 2.0 ** (info.minexp + info.nmant + 10))
    m, v, denominator = m[kept], v[kept], denominator[kept]
    assert len(m) > 0.7 * len(exponents)
    quotient = adam_quotient(m, v, epsilon)
    assert_array_max_ulp(quotient, m / denominator, maxulp=1)
    # one in 10^15 may be rounded the other way
    assert_array_equal(quotient, m / denominator)


@both_dtypes
def test_quotient_of_adam_by_the_hardest_denominators(dtype):
    # mantissas of ones, and their neighbours, where an estimate of 1 / b rounds to the wrong side most easily
    steps = np.arange(-64, 64) * np.finfo(dtype).eps
    roots = (np.ldexp(1.0, np.arange(-40, 40))[:, None] * (1 + steps / 2)).astype(dtype).ravel()
    v = (roots.astype(np.longdouble) ** 2).astype(dtype)
    for m in (1.0, 1.5, 3.0, 1 + 2.0**-20):
        m = np.full_like(v, m)
        assert_array_max_ulp(adam_quotient(m, v, 0.0), m / np.sqrt(v), maxulp=1)


@both_dtypes
def test_adam_of_extreme_moments(dtype):
    huge, tiny = np.finfo(dtype).max / 4, np.finfo(dtype).tiny
    v = np.array([0, 0, np.inf, huge, tiny, np.nan], dtype)
    m = np.array([0, 1, 1, 1, 1, 1], dtype)
    quotient = adam_quotient(m, v, 1e-8)
    assert_array_equal(quotient[[0, 1]], m[[0, 1]] / dtype(1e-8))
    assert_allclose(quotient[2], 0, atol=1e-300)
    assert_allclose(quotient[[3, 4]], m[[3, 4]] / (np.sqrt(v[[3, 4]]) + dtype(1e-8)), rtol=np.finfo(dtype).eps)
    assert np.isnan(quotient[5])
    assert_array_equal(adam_quotient(np.array([huge, -huge], dtype), np.full(2, np.inf, dtype), 1e-8), [0, 0])
    assert np.isnan(adam_quotient(np.array([np.inf], dtype), np.array([np.inf], dtype), 1e-8)).all()
    # without epsilon, 0 / 0 is NaN, and 1 / 0 is not finite
    assert np.isnan(adam_quotient(m[:1], v[:1], 0.0)).all()
    assert not np.isfinite(adam_quotient(m[1:2], v[1:2], 0.0)).any()


@pytest.mark.parametrize("n_states", [1, 2])
def test_nan_stays_where_it_is(n_states):
    g, w, *state = np.ones((2 + n_states, 21))
    g[17] = np.nan
    update(g, w, state, 1, dict(learning_rate=0.1))
    assert_array_equal(np.isnan(w), np.isnan(g))


def test_empty():
    g, w, velocity = np.empty((3, 0))
    sgd_update(g, w, velocity, learning_rate=0.1)
    assert w.shape == (0,)


# Updates of whole matrices

CONSTANTS = {
    "sgd": dict(momentum=0.8, nesterovs_momentum=True),
    "adam": dict(beta_1=0.8, beta_2=0.95, epsilon=1e-6),
    "adamw": dict(beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    "nadam": dict(beta_1=0.8, beta_2=0.95, epsilon=1e-6, momentum_decay=0.1),
    "rmsprop": dict(rho=0.9, momentum=0.5, centered=False, epsilon=1e-6),
    "adagrad": dict(epsilon=1e-8),
    "lion": dict(beta_1=0.8, beta_2=0.95),
    "schedule_free": dict(beta_1=0.8, beta_2=0.95, epsilon=1e-6, warmup_steps=2),
    "muon": dict(momentum=0.9, nesterovs_momentum=True, n_iterations=5),
}
SWITCHES = {"nesterovs_momentum", "centered"}
MATRICES = [(1, 1), (1, 7), (5, 5), (9, 3), (3, 40), (40, 17), (65, 130)]
LARGE_MATRICES = [(230, 200), (97, 300)]  # more than one tile of the products of muon


def twin_of(name, constants):
    """The twin with these constants; it names Nesterov's momentum as PyTorch does."""
    changed = {"nesterov" if key == "nesterovs_momentum" else key: value for key, value in constants.items()}
    return lambda *args, **rate: reference.OPTIMIZERS[name](*args, **rate, **changed)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", MATRICES, ids=str)
@pytest.mark.parametrize("switch", [False, True])
@both_dtypes
def test_twin_of_a_matrix(name, shape, switch, dtype):
    constants = {key: switch if key in SWITCHES else value for key, value in CONSTANTS[name].items()}
    rng = np.random.default_rng(0)
    w = rng.normal(size=shape).astype(dtype)
    states, memory = [np.zeros(shape, dtype) for _ in range(N_STATES[name])], np.zeros(N_MEMORY)
    w_twin, states_twin = w.astype(np.float64), [s.astype(np.float64) for s in states]
    for step in range(1, 4):
        g = rng.normal(size=shape).astype(dtype)
        optimizer_update(name, g, w, states, learning_rate=0.1, constants=constants, step=step, memory=memory)
        w_twin, states_twin = twin_of(name, constants)(g.astype(float), w_twin, states_twin, step, learning_rate=0.1)
    # muon: 15 products of matrices, whose rounding the iteration multiplies by up to 3.4 each time a value is small;
    # centered: v - m^2, of two numbers of which m^2 is up to 20 times the difference where gradients are alike
    tolerance = {"muon": 3000, "rmsprop": 2000 if switch else 60}.get(name, 60) * np.finfo(dtype).eps
    assert_allclose(w, w_twin, rtol=tolerance, atol=tolerance)
    for state, expected in zip(states, states_twin, strict=True):
        assert_allclose(state, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", LARGE_MATRICES, ids=str)
@both_dtypes
def test_twin_of_muon_of_a_large_matrix(shape, dtype):
    test_twin_of_a_matrix("muon", shape, True, dtype)


@both_dtypes
def test_steps_of_muon_are_almost_orthogonal(dtype):
    g = np.random.default_rng(0).normal(size=(30, 12)).astype(dtype)
    w, state = np.zeros_like(g), np.zeros_like(g)
    optimizer_update("muon", g, w, [state], learning_rate=1.0, constants={**CONSTANTS["muon"], "momentum": 0.0})
    values = np.linalg.svd(w, compute_uv=False) / (0.2 * np.sqrt(30))
    # five iterations leave the singular values between 0.68 and 1.21 (Jordan et al., 2024)
    assert values.min() > 0.67
    assert values.max() < 1.22


@pytest.mark.parametrize("scale", [1e-12, 1e12, "largest"])
@both_dtypes
def test_steps_of_muon_do_not_depend_on_the_scale_of_the_gradient(dtype, scale):
    g = np.random.default_rng(0).normal(size=(7, 9)).astype(dtype)
    if scale == "largest":  # whose square is infinite
        scale = 1e20 if dtype == np.float32 else 1e160
    steps = []
    for factor in (1, dtype(scale)):
        w, state = np.zeros_like(g), np.zeros_like(g)
        optimizer_update("muon", g * factor, w, [state], learning_rate=1.0, constants=CONSTANTS["muon"])
        steps.append(w)
    # the scaled gradient is rounded, which 15 products pass on
    assert_allclose(steps[1], steps[0], rtol=0, atol=3000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rmsprop", "adagrad", "lion", "schedule_free"])
@both_dtypes
def test_a_gradient_of_zeros_changes_nothing(name, dtype):
    g, w, *states = np.zeros((2 + N_STATES[name], 3, 7), dtype)
    w += 1
    optimizer_update(name, g, w, states, learning_rate=1.0, constants=CONSTANTS[name])
    assert_array_equal(w, np.ones_like(w))


@both_dtypes
def test_nan_in_a_gradient_reaches_the_weight_of_every_optimizer(dtype):
    for name in set(CONSTANTS) - {"muon"}:
        for switch in (False, True):
            constants = {key: switch if key in SWITCHES else value for key, value in CONSTANTS[name].items()}
            g, w, *states = np.ones((2 + N_STATES[name], 3, 7), dtype)
            g[1, 2] = np.nan
            optimizer_update(name, g, w, states, learning_rate=1.0, constants=constants)
            assert_array_equal(np.isnan(w), np.isnan(g))


@both_dtypes
def test_muon_of_a_gradient_of_zeros(dtype):
    g = np.zeros((4, 6), dtype)
    w, state = np.ones_like(g), np.zeros_like(g)
    optimizer_update("muon", g, w, [state], learning_rate=1.0, constants=CONSTANTS["muon"])
    assert_array_equal(w, np.ones_like(g))


def test_wrong_arguments_of_an_optimizer():
    g, w, state = np.ones((3, 4, 6))
    good = dict(learning_rate=1.0, constants=CONSTANTS["muon"])
    with pytest.raises(ValueError, match=r"optimizer must be one of .*; got 'newton'"):
        optimizer_update("newton", g, w, [state], **good)
    with pytest.raises(ValueError, match="muon has 1 states, got 2"):
        optimizer_update("muon", g, w, [state, state], **good)
    with pytest.raises(ValueError, match=r"constants of muon must be momentum, .*; got beta"):
        optimizer_update("muon", g, w, [state], learning_rate=1.0, constants={"beta": 1})
    with pytest.raises(ValueError, match=r"step counts the steps .* at least 1, got 0"):
        optimizer_update("muon", g, w, [state], step=0, **good)
    with pytest.raises(ValueError, match=r"states\[0\] must have shape \(4, 6\)"):
        optimizer_update("muon", g, w, [state[:2]], **good)
    assert (w == 1).all()
    assert set(OPTIMIZER_CONSTANTS) == set(N_STATES) == set(CONSTANTS)
