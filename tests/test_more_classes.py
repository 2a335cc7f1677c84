"""Classes that a classifier meets after its first call of partial_fit."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from fastbp import MLPClassifier, slim
from fastbp.callbacks import Callback
from fastbp.initializers import INITIALIZERS
from fastbp.layers import Dense, Dropout, LayerNorm, Residual

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = np.array(["b", "d", "e", "a", "c", "f"])[RNG.integers(0, 6, 120)]


class Start(Callback):
    """What training begins with."""

    def on_epoch_begin(self, state):
        self.network, self.state = state.network.copy(), [a.copy() for a in state.optimizer.state]
        self.n_steps = state.optimizer.n_steps


def model(**params):
    return MLPClassifier(
        **(dict(hidden_layer_sizes=(8,), random_state=0, learning_rate_init=0.01, batch_size=30) | params)
    )


def rows_of(*labels):
    chosen = np.isin(Y, labels)
    return X[chosen], Y[chosen]


def grown(before, after, **params):
    """A model that knows the classes `before`, and what its training with the classes `after` begins with."""
    start = Start()
    fitted = model(callbacks=start, **params)
    for _ in range(2):
        fitted.partial_fit(*rows_of(*before), classes=list(before))
    old = pickle.loads(pickle.dumps(fitted))
    fitted.partial_fit(*rows_of(*after), classes=list(after))
    return old, fitted, start


def columns(network, flat, units):
    """The columns of output units in a flat vector, weights and bias in one array."""
    coefs, intercepts = network.split(flat)
    return np.vstack([coefs[-1], intercepts[-1]])[:, units]


OPTIONS = {
    "plain": {},
    "sgd": dict(solver="sgd"),
    "muon": dict(solver="muon", hidden_layer_sizes=(8, 8)),
    "nadam": dict(solver="nadam"),
    "schedule_free": dict(solver="schedule_free"),
    "ema": dict(ema_decay=0.9),
    "layers": dict(layers=[Dense(6, "prelu"), Residual([LayerNorm(), Dense(6, "tanh")]), Dropout(0.2)]),
    "frozen": dict(frozen_layers=[0]),
    "float32": dict(dtype="float32"),
    "focal": dict(loss="focal"),
    "weights": dict(class_weight={"b": 3.0}),
    "lots": dict(normalization="layer", dropout=0.1, clip_norm=1.0, l1=0.01, weight_decay=0.1, warmup=2),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(
    ("before", "after", "old_units", "places"),
    [("bde", "fedcba", [0, 1, 2], [1, 3, 4]), ("bd", "abcd", [0], [3])],
    ids=["three of six", "two of four"],
)
def test_what_was_learned_stays_bit_for_bit(before, after, old_units, places, options):
    old, fitted, start = grown(before, after, **options)
    assert_array_equal(fitted.classes_, sorted(after))
    assert (fitted.out_activation_, fitted.n_outputs_) == ("softmax", len(after))
    network = old.network_
    raw = old.raw_params_ if "ema_decay" in options else network.params
    pairs = [(raw, start.network.params), *zip(old._optimizer.state, start.state, strict=True)]
    output = {f"W_{len(network.coefs)}", f"b_{len(network.coefs)}"}
    for was, is_now in pairs:
        assert_array_equal(columns(start.network, is_now, places), columns(network, was, old_units))
        blocks = start.network.split_blocks(is_now)
        for name, block in network.split_blocks(was).items():
            if name not in output:
                assert_array_equal(blocks[name], block)
    others = np.setdiff1d(range(len(after)), places)
    for array in start.state:
        assert not columns(start.network, array, others).any()
    new = np.setdiff1d(others, [1]) if before == "bd" else others  # b comes second, and its unit has zeros
    assert (columns(start.network, start.network.params, new) != 0).all()
    assert start.n_steps == old._optimizer.n_steps > 0
    assert [len(curve) for curve in fitted.history_.values()] == [3] * len(fitted.history_)


@pytest.mark.parametrize("before", ["bd", "bde"])
def test_old_classes_keep_their_ratios(before):
    old, _, start = grown(before, "abcdef", activation="tanh")
    was = old.predict_proba(X)
    now = start.network.forward(X)[:, np.searchsorted(list("abcdef"), list(before))]
    # the same numbers go through the logistic function, or through a softmax of more columns: rounding differs
    assert_allclose(now / now.sum(axis=1, keepdims=True), was, rtol=1e-12)


def small_uniform(fan_in, fan_out, random_state):
    return 0.1 * random_state.rand(fan_in, fan_out)


@pytest.mark.parametrize("weight_init", [None, "he_normal", small_uniform])
def test_new_columns_are_initial_weights(weight_init):
    _, _, start = grown("bde", "abcdef", weight_init=weight_init)
    # the same draws: the initial weights, and the shuffles of two epochs
    rng = np.random.RandomState(0)

    def draw(fan_in, fan_out):
        if callable(weight_init):
            return small_uniform(fan_in, fan_out, rng), np.zeros(fan_out)
        return INITIALIZERS[weight_init or "scikit_learn"](fan_in, fan_out, "relu", rng)

    draw(5, 8), draw(8, 3)
    for _ in range(2):
        rng.shuffle(np.arange(len(rows_of("b", "d", "e")[0])))
    W, b = draw(8, 6)
    new = [0, 2, 5]
    assert_array_equal(columns(start.network, start.network.params, new), np.vstack([W, b])[:, new])


def test_the_step_is_that_of_the_larger_network():
    """Gradient descent without momentum, against the gradient of a network with these parameters."""
    options = dict(solver="sgd", momentum=0.0, nesterovs_momentum=False, batch_size="auto", shuffle=False, alpha=0.1)
    _, fitted, start = grown("bd", "abcdef", **options)
    network = start.network
    _, gradient = network.loss_and_gradient(X, np.searchsorted(fitted.classes_, Y))
    assert_allclose(fitted.network_.params, network.params - 0.01 * gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), slim], ids=["pickle", "slim"])
@pytest.mark.filterwarnings("ignore:This estimator was made by fastbp.slim")
def test_copies_learn_on(copied):
    fitted = copied(model(ema_decay=0.9, hidden_layer_sizes=(30,)).partial_fit(*rows_of(*"bd"), classes=["b", "d"]))
    for classes in ("bde", "abcdef", "abcdef"):
        fitted.partial_fit(*rows_of(*classes), classes=list(classes))
    for _ in range(200):
        fitted.partial_fit(X[:30], Y[:30])
    assert fitted.score(X[:30], Y[:30]) > 0.9
    assert clone(fitted).get_params()["ema_decay"] == 0.9


def test_after_fit_and_warm_start():
    fitted = model(max_iter=20, warm_start=True, tol=1).fit(*rows_of(*"bde"))
    assert_array_equal(fitted.partial_fit(X, Y, classes=list("abcdef")).classes_, list("abcdef"))
    assert_array_equal(fitted.fit(X, Y).classes_, list("abcdef"))
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        fitted.fit(X, np.char.upper(Y))


@pytest.mark.parametrize("after", [["a", "b"], ["b", "z"], ["a", "b", "z"]])
def test_one_class_gets_company(after):
    rows = X[:30]
    fitted = model().partial_fit(rows, ["b"] * 30, classes=["b"])
    hidden = fitted.coefs_[0].copy()
    fitted.set_params(frozen_layers=[0]).partial_fit(rows, ["b"] * 30, classes=after)
    assert_array_equal(fitted.coefs_[0], hidden)
    assert_array_equal(fitted.classes_, after)
    assert fitted.predict_proba(rows).shape == (30, len(after))


def test_weights_of_ones_own():
    fitted = model().partial_fit(*rows_of(*"bde"), classes=list("bde"))
    start = Start()
    fitted.coefs_ = [np.full((5, 3), 0.5), np.full((3, 3), 0.25)]
    fitted.intercepts_ = [np.zeros(3), np.arange(3.0)]
    fitted.set_params(hidden_layer_sizes=(3,), callbacks=start).partial_fit(X, Y, classes=list("abcdef"))
    assert_array_equal(
        columns(start.network, start.network.params, [1, 3, 4]), np.vstack([fitted_rows(), np.arange(3.0)])
    )


def fitted_rows():
    return np.full((3, 3), 0.25)


# the other forms of y


def test_more_labels_in_a_row():
    indicators = (RNG.random((120, 4)) < 0.4).astype(int)
    start = Start()
    fitted = model(callbacks=start).partial_fit(X, indicators[:, :2], classes=[0, 1])
    was = fitted.predict_proba(X)
    fitted.partial_fit(X, indicators, classes=range(4))
    assert_array_equal(start.network.forward(X)[:, :2], was)
    assert fitted.predict(X).shape == (120, 4)
    with pytest.raises(ValueError, match=r"for indicators of 5 labels, classes must be the columns of y"):
        fitted.partial_fit(X, indicators, classes=[0, 1, 2, 3, 7])
    with pytest.raises(ValueError, match="must be an indicator matrix of 5 labels"):
        fitted.partial_fit(X, indicators, classes=range(5))
    assert_array_equal(fitted.classes_, range(4))


def test_more_classes_of_probabilities():
    soft = RNG.dirichlet(np.ones(3), 120)
    start = Start()
    fitted = model(callbacks=start).partial_fit(X, np.delete(soft, 1, axis=1) / (1 - soft[:, 1:2]), classes=["a", "c"])
    was = fitted.predict_proba(X)
    fitted.partial_fit(X, soft, classes=["a", "b", "c"])
    now = start.network.forward(X)[:, [0, 2]]
    assert_allclose(now / now.sum(axis=1, keepdims=True), was, rtol=1e-12)  # rounding, as above
    assert_array_equal(fitted.classes_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="must be different and in sorted order"):
        fitted.partial_fit(X, soft, classes=["a", "b", "c", "0"])


def test_more_classes_in_a_column():
    y = np.column_stack([RNG.integers(0, 3, 120), RNG.integers(5, 7, 120)])
    start = Start()
    fitted = model(callbacks=start).partial_fit(X, y, classes=[[0, 1, 2], [5, 6]])
    was = fitted.network_.forward(X)
    fitted.partial_fit(X, y + 1, classes=[[0, 1, 2, 3], [4, 7, 6, 5]])
    # products of wider matrices may sum in another order
    assert_allclose(start.network.forward(X)[:, [0, 1, 2, 5, 6]], was, rtol=1e-12)
    assert [p.shape for p in fitted.predict_proba(X)] == [(120, 4), (120, 4)]
    for classes, message in (
        ([[0, 1, 2, 3, 4]], r", was: .*\]$"),
        ([[0, 1, 2, 9], [4, 5, 6, 7]], ", was: .*New classes may be added, but the old ones must be named too"),
    ):
        with pytest.raises(ValueError, match="is not the same as on last call to partial_fit" + message):
            fitted.partial_fit(X, y, classes=classes)


def test_old_classes_of_two_dimensions_must_be_named():
    soft = RNG.dirichlet(np.ones(3), 120)
    for y, classes, wrong in (
        (soft, ["a", "b", "c"], ["a", "b", "d"]),
        ((soft > 0.4).astype(int), [0, 1, 2], [0, 1]),
    ):
        fitted = model().partial_fit(X, y, classes=classes)
        with pytest.raises(ValueError, match="the old ones must be named too"):
            fitted.partial_fit(X, y, classes=wrong)


# errors


@pytest.mark.parametrize(
    ("y", "classes", "params", "message"),
    [
        (Y, "abcde", {}, r"`y` has classes not in `self.classes_`"),
        (Y, "bez", {}, "is not the same as on last call to partial_fit.*the old ones must be named too"),
        (Y, "b", {}, "is not the same as on last call to partial_fit.*the old ones must be named too"),
        (Y, "abcdef", {"frozen_layers": [-1]}, r"frozen_layers=\[-1\] keeps the output layer as it is"),
        (Y, "abcdef", {"frozen_layers": [0, 1]}, "keeps the output layer as it is"),
        (Y, "abcdef", {"output_activation": "logistic"}, "output_activation must be 'auto' or 'softmax'"),
        (Y, "abcdef", {"class_weight": {"z": 1}}, "class_weight"),
        (Y[:-1], "abcdef", {}, "inconsistent numbers of samples"),
        (Y, "abcdef", {"weight_init": lambda *shape: np.nan}, "initializer"),
        (Y, "abcdef", {"hidden_layer_sizes": (9,)}, "go on with the fitted layers"),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("before", ["bd", "bde"])
def test_a_failed_call_changes_nothing(before, y, classes, params, message):
    fitted = model(ema_decay=0.9).partial_fit(*rows_of(*before), classes=list(before))
    twin = pickle.loads(pickle.dumps(fitted))
    values = {name: getattr(fitted, name) for name in params}
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**params).partial_fit(X, y, classes=list(classes))
    fitted.set_params(**values)
    for other in (fitted, twin):
        other.partial_fit(*rows_of(*before), classes=list(before))
    assert_array_equal(fitted.classes_, list(before))
    assert_array_equal(fitted.predict_proba(X), twin.predict_proba(X))
    assert_array_equal(fitted.raw_params_, twin.raw_params_)


def test_patience_begins_anew():
    """The loss of more classes is larger: it must not lower the learning rate of 'adaptive' for ever."""
    fitted = model(solver="sgd", learning_rate="adaptive", n_iter_no_change=1, tol=0, random_state=1)
    small, labels = rows_of(*"bd")
    for _ in range(30):
        fitted.partial_fit(small, labels, classes=["b", "d"])
    for _ in range(5):
        fitted.partial_fit(X, Y, classes=list("abcdef"))
    rates = fitted.history_["learning_rate"][30:]
    losses = fitted.loss_curve_[30:]
    assert all(a > b for a, b in pairwise(losses))
    assert len(set(rates)) == 1
