"""States of PyTorch become networks: against forward passes in NumPy, and against PyTorch where it is installed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastbp import Network, from_torch_state
from fastbp.importing.torch_state import in_order
from fastbp.layers import Activation, BatchNorm, Dense, LayerNorm, Residual, RMSNorm

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 4))


def linear(name, fan_in, fan_out, bias=True):
    state = {f"{name}.weight": RNG.normal(size=(fan_out, fan_in))}
    return state | ({f"{name}.bias": RNG.normal(size=fan_out)} if bias else {})


def batch_norm(name, n):
    parts = {"weight": RNG.normal(size=n), "bias": RNG.normal(size=n), "running_mean": RNG.normal(size=n)}
    parts |= {"running_var": RNG.uniform(0.5, 2, n), "num_batches_tracked": np.array(7)}
    return {f"{name}.{entry}": array for entry, array in parts.items()}


def vectors(name, n, *entries):
    return {f"{name}.{entry}": RNG.normal(size=n) for entry in entries}


# The modules, in NumPy


def apply(state, name, x):
    """A Linear or a normalization of a state."""
    part = {key.removeprefix(f"{name}."): array for key, array in state.items() if key.startswith(f"{name}.")}
    if "running_mean" in part:
        n = (x - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-5)
        return n * part.get("weight", 1) + part.get("bias", 0)
    if part["weight"].ndim == 2:
        return x @ part["weight"].T + part.get("bias", 0)
    c = x - x.mean(axis=1, keepdims=True)
    return c / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5) * part["weight"] + part["bias"]


def relu(x):
    return np.maximum(x, 0)


def test_sequential():
    state = linear("0", 4, 6) | linear("2", 6, 5, bias=False) | linear("4", 5, 3)
    network = from_torch_state(state, ["relu", "tanh"], "logistic")
    hidden = np.tanh(apply(state, "2", relu(apply(state, "0", X))))
    assert_allclose(network.forward(X), 1 / (1 + np.exp(-apply(state, "4", hidden))), rtol=1e-12)
    assert network.activations == ("relu", "tanh", "logistic")
    assert not np.shares_memory(network.params, state["0.weight"])


@pytest.mark.parametrize("prefix", ["", "net.", "model.layers."])
def test_the_place_of_the_activation_follows_from_the_numbers(prefix):
    """Linear, BatchNorm1d, ReLU, Linear, ReLU, LayerNorm, Dropout is not clear; without the Dropout it is."""
    names = [f"{prefix}{i}" for i in (0, 1, 3, 5, 6)]
    state = linear(names[0], 4, 6) | batch_norm(names[1], 6) | linear(names[2], 6, 5)
    state |= vectors(names[3], 5, "weight", "bias") | linear(names[4], 5, 2)
    hidden = relu(apply(state, names[1], apply(state, names[0], X)))
    hidden = apply(state, names[3], relu(apply(state, names[2], hidden)))
    expected = apply(state, names[4], hidden)
    assert_allclose(from_torch_state(state).forward(X), expected, rtol=1e-12)
    moved = {key.replace(f"{prefix}6", f"{prefix}7"): array for key, array in state.items()}
    with pytest.raises(ValueError, match="not clear whether the activation comes before or after"):
        from_torch_state(moved)


def test_names_without_numbers():
    state = linear("first", 4, 6) | batch_norm("norm", 6) | linear("last", 6, 2)
    with pytest.raises(ValueError, match="set activation_follows"):
        from_torch_state(state)
    z = apply(state, "first", X)
    after = apply(state, "last", relu(apply(state, "norm", z)))
    before = apply(state, "last", apply(state, "norm", relu(z)))
    assert_allclose(from_torch_state(state, activation_follows="normalization").forward(X), after, rtol=1e-12)
    assert_allclose(from_torch_state(state, activation_follows="dense").forward(X), before, rtol=1e-12)


def linears(names, width=6):
    """Linear modules of one width: an order of them that is wrong raises no error."""
    state = {}
    for name in names:
        state |= linear(name, width, width)
    return state


@pytest.mark.parametrize("pattern", ["{}", "net.{}", "fc{}", "blocks.{}.inner", "blocks.1.{}", "v2.fc{}"])
@pytest.mark.parametrize("from_file", [False, True])
def test_modules_come_in_the_order_of_their_numbers(pattern, from_file, tmp_path):
    """Files of safetensors have them in that of text: 0, 10, 12, 2, 4, 6, 8."""
    state = linears([pattern.format(i) for i in range(0, 14, 2)])
    wanted = from_torch_state(state, "tanh")
    if from_file:
        numpy_files = pytest.importorskip("safetensors.numpy")
        numpy_files.save_file(state, tmp_path / "state.safetensors")
        moved = numpy_files.load_file(tmp_path / "state.safetensors")
    else:
        moved = dict(reversed(state.items()))
    assert list(moved) != list(state)
    assert_array_equal(from_torch_state(moved, "tanh").params, wanted.params)
    layers = [*[Dense(6, "tanh")] * 6, Dense(6)]
    assert_array_equal(from_torch_state(moved, layers=layers).params, wanted.params)


def test_names_that_differ_by_words_keep_their_order():
    """Only names that differ by a number change places, with each other."""
    names = ["stem", "body.10.b", "body.2.b", "body.2.a", "head"]
    assert in_order(names) == ["stem", "body.2.b", "body.2.a", "body.10.b", "head"]
    names = ["norm.2", "fc2", "x.0.in1", "x.0.mid", "x.0.in2"]
    assert in_order(names) == names
    assert in_order([]) == []


def test_a_permuted_state_still_shows_gaps():
    state = linear("1", 4, 6) | batch_norm("2", 6) | linear("4", 6, 2)
    moved = dict(sorted(state.items(), reverse=True))
    assert_array_equal(from_torch_state(moved).params, from_torch_state(state).params)


@pytest.mark.parametrize("names", [("fc1", "fc2"), ("net.fc1", "net.fc2"), ("1fc", "2fc")])
def test_names_that_end_with_numbers_are_not_those_of_a_sequential(names):
    """They have no gap, and the model itself applies the activation."""
    state = linear(names[0], 4, 6) | linear(names[1], 6, 2)
    expected = apply(state, names[1], relu(apply(state, names[0], X)))
    assert_allclose(from_torch_state(state).forward(X), expected, rtol=1e-12)


def test_a_list_of_modules():
    """Its numbers have no gap, as those of a Sequential without an activation."""
    state = linear("layers.0", 4, 6) | linear("layers.1", 6, 2)
    with pytest.raises(ValueError, match="set activation_follows to 'dense' if the model applies one there"):
        from_torch_state(state)
    expected = apply(state, "layers.1", relu(apply(state, "layers.0", X)))
    assert_allclose(from_torch_state(state, activation_follows="dense").forward(X), expected, rtol=1e-12)


def test_normalization_of_the_input_and_of_the_output():
    state = batch_norm("0", 4) | linear("1", 4, 6) | linear("3", 6, 2) | vectors("4", 2, "weight", "bias")
    expected = apply(state, "4", apply(state, "3", np.tanh(apply(state, "1", apply(state, "0", X)))))
    assert_allclose(from_torch_state(state, "tanh").forward(X), expected, rtol=1e-12)


def test_batch_norm_without_gamma_and_beta():
    state = linear("0", 4, 6) | batch_norm("1", 6) | linear("3", 6, 2)
    del state["1.weight"], state["1.bias"]
    expected = apply(state, "3", relu(apply(state, "1", apply(state, "0", X))))
    network = from_torch_state(state)
    assert_allclose(network.forward(X), expected, rtol=1e-12)
    assert isinstance(network.layers[1], BatchNorm)
    assert network.layers[1].momentum == 0.1


@pytest.mark.parametrize("size", [1, 6])
def test_prelu(size):
    state = linear("0", 4, 6) | {"1.weight": RNG.normal(size=size)} | linear("2", 6, 2)
    z = apply(state, "0", X)
    expected = apply(state, "2", np.where(z > 0, z, state["1.weight"] * z))
    assert_allclose(from_torch_state(state, "prelu").forward(X), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="name the activation 'prelu' if it is one"):
        from_torch_state(state, "relu")


def test_layers():
    """A residual connection, an RMSNorm and an epsilon of its own, which the state does not tell."""
    state = linear("stem", 4, 6) | vectors("norm", 6, "weight") | linear("inner", 6, 6) | linear("head", 6, 1)
    layers = [Dense(6), Residual([RMSNorm(0.1), Dense(6, "silu")]), Activation("tanh"), Dense(1)]
    z = apply(state, "stem", X)
    n = z / np.sqrt((z**2).mean(axis=1, keepdims=True) + 0.1) * state["norm.weight"]
    inner = apply(state, "inner", n)
    expected = apply(state, "head", np.tanh(z + inner / (1 + np.exp(-inner))))
    assert_allclose(from_torch_state(state, layers=layers).forward(X), expected, rtol=1e-12)


def test_epsilon_and_dtype():
    state = linear("0", 4, 6) | vectors("1", 6, "weight", "bias") | linear("3", 6, 2)
    network = from_torch_state(state, epsilon=0.5)
    assert isinstance(network.layers[1], LayerNorm)
    assert network.layers[1].epsilon == 0.5
    assert network.dtype == np.float64
    assert from_torch_state({key: array.astype("f4") for key, array in state.items()}).dtype == np.float32
    assert from_torch_state(state, dtype="float32", n_threads=1).dtype == np.float32
    assert from_torch_state(state, "relu", "softmax", "log_loss").loss == "log_loss"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "there must be a fully connected layer"),
        (vectors("0", 3, "weight", "bias"), "there must be a fully connected layer"),
        ({"0.weight": np.ones((3, 2, 5, 5)), "0.bias": np.ones(3)}, "not those of a Linear"),
        ({"0.weight_ih": np.ones((3, 2))}, "not those of a Linear"),
        ({"0.weight": np.ones((3, 2)), "0.bias": np.ones(2)}, "not those of a Linear"),
        (linear("0", 4, 6) | linear("2", 5, 2), "does not fit"),
        (linear("0", 4, 6) | linear("1", 6, 2), "no module between 0"),
        (linear("0", 4, 6) | batch_norm("1", 5) | linear("3", 6, 2), "does not fit"),
        ({"0.weight": np.array([[1.0, np.nan]])}, "must be finite"),
        (linear("0", 4, 6) | vectors("1", 6, "weight") | linear("3", 6, 2), "it is not clear what 1"),
        (
            linear("0", 4, 6) | vectors("1", 6, "weight", "bias") | {"1.bias": np.ones(5)} | linear("3", 6, 2),
            "one length",
        ),
    ],
)
def test_states_that_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        from_torch_state(state)


def test_arguments_that_are_refused():
    state = linear("0", 4, 6) | linear("2", 6, 2)
    with pytest.raises(TypeError, match="state must be a mapping"):
        from_torch_state([np.ones((2, 2))])
    with pytest.raises(TypeError, match=r"state\['0\.weight'\] must hold real numbers"):
        from_torch_state(state | {"0.weight": np.full((6, 4), "a")})
    with pytest.raises(ValueError, match="activation must be one name or 1 names"):
        from_torch_state(state, ["relu", "tanh"])
    with pytest.raises(ValueError, match="activation must be one of"):
        from_torch_state(state, "sigmoid")
    with pytest.raises(ValueError, match="activation_follows must be"):
        from_torch_state(state, activation_follows="norm")
    with pytest.raises(ValueError, match="have parameters in 1 places, and the weights are of 2 modules"):
        from_torch_state(state, layers=[Dense(2)])
    with pytest.raises(ValueError, match="must be those of the model"):
        from_torch_state(state, layers=[Dense(6, use_bias=False), Dense(2)])


ACTIVATIONS = {
    "relu": "ReLU",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
    "prelu": "PReLU",
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("norm", [None, "BatchNorm1d", "LayerNorm"])
def test_as_pytorch_predicts(name, norm):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    norms = [] if norm is None else [getattr(torch.nn, norm)(8, dtype=torch.float64)]
    activation = getattr(torch.nn, ACTIVATIONS[name])()
    hidden = [torch.nn.Linear(4, 8), *norms, activation, torch.nn.Dropout(0.5)]
    model = torch.nn.Sequential(*hidden, torch.nn.Linear(8, 3), torch.nn.Softmax(1)).double()
    rows = torch.tensor(X)
    model(rows)  # running statistics
    expected = model.eval()(rows).detach().numpy()
    # beside each other are an activation and a dropout
    follows = None if name != "prelu" else "normalization"
    network = from_torch_state(model.state_dict(), name, "softmax", activation_follows=follows)
    assert_allclose(network.forward(X), expected, rtol=1e-11, atol=1e-14)


def test_a_model_of_named_modules_on_tensors_with_gradients():
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(4, 5)
            self.outer = torch.nn.Linear(5, 1)

        def forward(self, x):
            return self.outer(torch.relu(self.inner(x)))

    model = Model()
    rows = torch.tensor(X, dtype=torch.float32)
    network = from_torch_state(dict(model.named_parameters()))
    assert isinstance(network, Network)
    assert network.dtype == np.float32
    assert_allclose(network.forward(X.astype("f4")), model(rows).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert_array_equal(network.coefs[0], model.inner.weight.detach().numpy().T)
