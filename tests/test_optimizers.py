"""The optimizers as objects: constants, constraints, documentation, copies; `optimizers.py`, `parametrized.py`."""

import copy
import pickle
from dataclasses import fields

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from fastbp import MLPRegressor, Network
from fastbp.kernels.dispatch import N_STATES, OPTIMIZER_CONSTANTS
from fastbp.kernels.dispatch import OPTIMIZERS as KERNEL_OPTIMIZERS
from fastbp.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, Lion, Muon, NAdam, RMSprop, ScheduleFree
from fastbp.training import OptimizerState

CHANGED = [SGD(momentum=0.5), SGD(nesterovs_momentum=False), Adam(beta_1=0.8, epsilon=1e-6), AdamW(weight_decay=0.5)]
BAD_VALUES = [
    (SGD(momentum=1.5), "momentum"),
    (SGD(nesterovs_momentum="yes"), "nesterovs_momentum"),
    (Adam(beta_1=1.0), "beta_1"),
    (Adam(beta_2=-0.1), "beta_2"),
    (Adam(epsilon=0), "epsilon"),
    (Adam(epsilon=None), "epsilon"),
    (Muon(n_iterations=0), "n_iterations"),
    (Muon(n_iterations=2.5), "n_iterations"),
    (Muon(momentum=1.0), "momentum"),
    (Muon(weight_decay=-0.1), "weight_decay"),
    (AdamW(weight_decay=None), "weight_decay"),
    (AdamW(weight_decay=np.nan), "weight_decay"),
    (NAdam(momentum_decay=-1), "momentum_decay"),
    (RMSprop(rho=1.0), "rho"),
    (RMSprop(centered=None), "centered"),
    (Adagrad(epsilon=0.0), "epsilon"),
    (Lion(beta_2=1.0), "beta_2"),
    (Lion(weight_decay="0"), "weight_decay"),
    (ScheduleFree(warmup_steps=-1), "warmup_steps"),
    (ScheduleFree(beta_1=1.1), "beta_1"),
]


def test_every_optimizer_of_the_kernels_has_a_class():
    assert set(KERNEL_OPTIMIZERS) == {kernel for cls in OPTIMIZERS.values() for kernel, _ in cls().kernel_constants}
    for name, cls in OPTIMIZERS.items():
        assert cls.name == name
        optimizer = cls()
        names = dict.fromkeys(
            constant for kernel, _ in optimizer.kernel_constants for constant in OPTIMIZER_CONSTANTS[kernel]
        )
        assert {f.name for f in fields(cls)} - {"weight_decay"} == set(names)
        assert optimizer.weight_decay == {"adamw": 0.01, "muon": 0.01}.get(name, 0.0)
        for kernel, constants in optimizer.kernel_constants:
            assert constants == tuple(float(getattr(optimizer, constant)) for constant in OPTIMIZER_CONSTANTS[kernel])


def test_muon_uses_two_kernels():
    solver = Muon(momentum=0.5, beta_1=0.25)
    assert solver.kernel_constants == [("muon", (0.5, 1.0, 5.0)), ("adamw", (0.25, 0.999, 1e-8))]
    graph = Network([4, 5, 6, 2]).graph
    assert dict(zip((b.name for b in graph.blocks), solver.kernel_of_blocks(graph), strict=True)) == {
        "W_1": 0, "b_1": 1, "W_2": 0, "b_2": 1, "W_3": 1, "b_3": 1
    }  # fmt: skip
    assert Adam().kernel_of_blocks(graph) == [0] * 6
    # five iterations with k = 4 and 5: 3 rows cols k + k^3
    assert solver.update_flops(graph) == 5 * (3 * 20 * 4 + 64 + 3 * 30 * 5 + 125)
    assert Adam().update_flops(graph) == 0


def test_constants():
    assert SGD().constants == (0.9, 1.0)
    assert SGD(momentum=0, nesterovs_momentum=np.False_).constants == (0.0, 0.0)
    assert Adam(beta_1=np.float32(0.5)).constants == (0.5, 0.999, 1e-8)
    assert all(type(value) is float for value in SGD(0, False).constants)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_the_docstring_describes_every_field(cls):
    assert "{parameters}" not in cls.__doc__
    for field in fields(cls):
        assert f"\n{field.name} : " in cls.__doc__
        assert f", default={field.default!r}\n    {field.metadata['doc']}" in cls.__doc__


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_defaults_are_valid(cls):
    cls()._validate_params()


@pytest.mark.parametrize(("optimizer", "name"), BAD_VALUES, ids=repr)
def test_a_bad_value_is_named(optimizer, name):
    with pytest.raises(InvalidParameterError, match=rf"The '{name}' parameter of {type(optimizer).__name__} must be"):
        optimizer._validate_params()


WITH_EPSILON = [cls for cls in OPTIMIZERS.values() if "epsilon" in cls._parameter_constraints]


@pytest.mark.parametrize("cls", WITH_EPSILON)
def test_an_epsilon_that_would_be_zero(cls):
    for dtype, epsilon, smallest in (
        ("float32", 1e-60, "1e-31"),
        ("float32", 1e-39, "1e-31"),
        ("float64", 1e-300, "1e-291"),
    ):
        match = f"epsilon={epsilon} of the solver '{cls.name}' is too small for {dtype}, in which .* least {smallest}"
        with pytest.raises(ValueError, match=match):
            OptimizerState(cls(epsilon=epsilon), 7, dtype)
    OptimizerState(cls(epsilon=1e-60), 7, np.float64)


@pytest.mark.parametrize("cls", WITH_EPSILON)
@pytest.mark.parametrize(("dtype", "epsilon"), [("float32", 1e-31), ("float64", 1e-291)])
def test_the_smallest_epsilon(cls, dtype, epsilon):
    """Parameters without a gradient: those of a feature that is always zero. The bias correction is small."""
    X = np.random.default_rng(0).normal(size=(20, 3)) * [0, 1, 1]
    solver = cls(epsilon=epsilon, **{"beta_2": 1 - 1e-12} if "beta_2" in cls._parameter_constraints else {})
    model = MLPRegressor(
        hidden_layer_sizes=(4,),
        solver=solver,
        dtype=dtype,
        learning_rate_init=1e-3,
        max_iter=3,
        alpha=0,
        random_state=0,
    )
    with pytest.warns(match="Maximum iterations"):
        assert np.isfinite(model.fit(X, X[:, 1]).network_.params).all()


@pytest.mark.parametrize("params", [dict(epsilon=1e-60), dict(solver=AdamW(epsilon=1e-60))])
def test_an_epsilon_of_an_estimator_that_would_be_zero(params):
    X, y = np.zeros((9, 2)), np.zeros(9)
    model = MLPRegressor(dtype="float32", **params)
    with pytest.raises(ValueError, match=r"is too small for float32, .*: use a larger one, such as 1e-8, or dtype='fl"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match="is too small for float32"):
        model.partial_fit(X, y)
    with pytest.warns(match="Maximum iterations"):  # 'sgd' has none
        model.set_params(solver="sgd", max_iter=1).fit(X, y)


@pytest.mark.parametrize("optimizer", CHANGED, ids=repr)
@pytest.mark.parametrize("way", [clone, copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_are_equal_and_independent(optimizer, way):
    before = repr(optimizer)
    duplicate = way(optimizer)
    assert duplicate == optimizer != type(optimizer)()
    assert repr(duplicate) == before
    duplicate.set_params(**dict.fromkeys(duplicate.get_params(), 0.25))
    assert repr(optimizer) == before


def test_equality():
    assert SGD() == SGD(momentum=0.9)
    assert SGD() != Adam()
    assert Adam() != "adam"


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Adam()) == "Adam()"
    assert repr(Adam(beta_1=0.8, beta_2=0.999)) == "Adam(beta_1=0.8)"
    assert repr(SGD(0.5, False)) == "SGD(momentum=0.5, nesterovs_momentum=False)"


def test_get_and_set_params():
    optimizer = Adam()
    assert optimizer.get_params() == {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    assert optimizer.set_params(beta_2=0.5) is optimizer
    assert optimizer.beta_2 == 0.5
    with pytest.raises(ValueError, match="Invalid parameter 'momentum' for estimator Adam"):
        optimizer.set_params(momentum=0.5)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state(cls, dtype):
    state = OptimizerState(cls(), 7, dtype, 0.5)
    n_states = max(N_STATES[kernel] for kernel, _ in cls().kernel_constants)
    assert [(s.shape, s.dtype) for s in state.state] == [((7,), dtype)] * n_states
    assert not any(s.any() for s in state.state)
    assert (state.name, state.optimizer.constants, state.n_steps, state.learning_rate) == (
        cls.name,
        cls().constants,
        0,
        0.5,
    )


def test_a_running_optimizer_keeps_its_constants():
    optimizer = Adam(beta_1=0.8)
    state = OptimizerState(optimizer, 2, np.float64)
    optimizer.set_params(beta_1=0.1)
    assert state.optimizer.constants == (0.8, 0.999, 1e-8)


@pytest.mark.parametrize("way", [OptimizerState.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_of_the_state_are_independent(way):
    state = OptimizerState(Adam(), 3, np.float32)
    state.memory[...] = 0.25
    duplicate = way(state)
    assert duplicate.optimizer == state.optimizer
    assert (duplicate.memory == 0.25).all()
    duplicate.state[0][...] = 1
    duplicate.memory[...] = 1
    duplicate.n_steps = 5
    assert (state.n_steps, state.state[0].any(), state.memory[0, 0]) == (0, False, 0.25)


def test_matches():
    state = OptimizerState(Adam(), 3, np.dtype(np.float32))
    assert state.matches("adam", np.zeros(3, np.float32))
    assert not state.matches("sgd", np.zeros(3, np.float32))
    assert not state.matches("adam", np.zeros(4, np.float32))
    assert not state.matches("adam", np.zeros(3))
