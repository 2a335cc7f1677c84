"""`init_from` and `frozen_layers` of the estimators: `estimators/transfer.py`."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import neural_network
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from estimator_layer_cases import SMALL, X, both_estimators, fitted, labels, mixed_layers
from fastbp import MLPClassifier, MLPRegressor
from fastbp.optimizers import OPTIMIZERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SIZES = dict(hidden_layer_sizes=(6, 5), activation="tanh")


class First:
    """The network before the first step."""

    def on_fit_begin(self, state):
        self.network = state.network.copy()


def start_of(init_from, Estimator=MLPRegressor, y=None, **params):
    first = First()
    Estimator(init_from=init_from, callbacks=first, **SIZES | SMALL | params).fit(
        X, labels(Estimator) if y is None else y
    )
    return first.network


# init_from


@both_estimators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_parameters_of_a_fitted_estimator(Estimator, dtype):
    source = Estimator(**SIZES | SMALL | {"random_state": 7}).fit(X, labels(Estimator))
    for init_from in (source, FrozenEstimator(source), (source.coefs_, source.intercepts_)):
        for weight_init in (None, "data_dependent"):
            network = start_of(init_from, Estimator, dtype=dtype, weight_init=weight_init)
            assert_array_equal(network.params, source.network_.params.astype(dtype))
    # the source is a copy: training does not change it
    before = source.network_.params.copy()
    start_of(source, Estimator)
    assert_array_equal(source.network_.params, before)


def test_an_estimator_of_scikit_learn_goes_on():
    source = neural_network.MLPRegressor(**SIZES | SMALL).fit(X, X[:, 0])
    network = start_of(source)
    for ours, theirs in zip(network.coefs + network.intercepts, source.coefs_ + source.intercepts_, strict=True):
        assert_array_equal(ours, theirs)
    model = MLPRegressor(init_from=source, **SIZES | SMALL | dict(learning_rate_init=1e-12)).fit(X, X[:, 0])
    assert_allclose(model.predict(X), source.predict(X), atol=1e-8)


def test_an_output_layer_of_another_shape_is_drawn():
    source = MLPRegressor(**SIZES | SMALL | {"random_state": 7}).fit(X, X[:, 0])
    network, drawn = start_of(source, MLPClassifier), start_of(None, MLPClassifier)
    for name, block in network.blocks.items():
        expected = drawn if name in ("W_3", "b_3") else source.network_
        assert_array_equal(block, expected.blocks[name])


def test_layers_with_other_parameters():
    source = fitted(MLPRegressor, random_state=7)
    layers = dict(layers=mixed_layers(), hidden_layer_sizes=(), activation="relu")
    network = start_of(source, **layers)
    assert_array_equal(network.params, source.network_.params)
    blocks = source.network_.blocks
    arrays = [blocks[f"W_{i}"] for i in (1, 2, 3, 4)], [None, *(blocks[f"b_{i}"] for i in (2, 3, 4))]
    with pytest.raises(TypeError, match=r"init_from\[1\]\[0\] must hold real numbers"):
        start_of(arrays, **layers)
    arrays[1][0] = np.zeros(5)  # not there in this network
    network = start_of(arrays, **layers)
    assert_array_equal(network.blocks["W_3"], blocks["W_3"])
    assert (network.blocks["s_1"] == 0.5).all()


@pytest.mark.parametrize("options", [dict(normalization="layer"), dict(activation="prelu")], ids=str)
def test_arrays_have_weights_and_biases_only(options):
    """What the message about a grid recommends gives all parameters; arrays leave others at their initial values."""
    source = MLPRegressor(**SIZES | SMALL | {"random_state": 7} | options).fit(X, X[:, 0])
    search = GridSearchCV(
        MLPRegressor(**SIZES | SMALL | options | dict(learning_rate_init=1e-9, max_iter=1)),
        {"init_from": [FrozenEstimator(source)]},
        cv=2,
    ).fit(X, X[:, 0])
    assert_allclose(search.best_estimator_.network_.params, source.network_.params, atol=1e-7)  # one small step
    network = start_of((source.coefs_, source.intercepts_), **options)
    for name, block in network.blocks.items():
        if name[0] in "Wb":
            assert_array_equal(block, source.network_.blocks[name])
        else:
            first = {"gain": 1, "shift": 0, "slope": 0.25}[name.split("_")[0]]
            assert (block == first).all()
            assert (source.network_.blocks[name] != first).any()


@pytest.mark.parametrize(
    ("init_from", "error", "message"),
    [
        (3, TypeError, "init_from must be None, a fitted estimator or .*, got int"),
        ((1, 2), TypeError, "must hold two lists of arrays"),
        (MLPRegressor(), ValueError, r"not a fitted perceptron.*FrozenEstimator.*has no parameters of normalizations"),
        (([np.ones((4, 1))], [np.ones(1)]), ValueError, "init_from has 1 layers with weights, and this network has 3"),
        (
            ([np.ones((4, 6)), np.ones((6, 4)), np.ones((4, 1))], [np.ones(6), np.ones(4), np.ones(1)]),
            ValueError,
            r"a block W_2 of shape \(6, 5\), as this network, and has one of shape \(6, 4\)",
        ),
        (
            ([np.ones((4, 6)), np.ones((6, 5)), np.ones((5, 1))], [np.ones(6), np.ones(5)]),
            ValueError,
            r"init_from=\(coefs, intercepts\) must hold two lists of one length, got 3 and 2",
        ),
        (
            ([np.ones((4, 6)), np.full((6, 5), np.nan), np.ones((5, 1))], [np.ones(6), np.ones(5), np.ones(1)]),
            ValueError,
            "the block W_2 of init_from holds numbers that are not finite",
        ),
        (([np.full((4, 6), "a")], [np.ones(6)]), TypeError, r"init_from\[0\]\[0\] must hold real numbers"),
    ],
)
def test_bad_sources(init_from, error, message):
    with pytest.raises(error, match=message):
        start_of(init_from)


@pytest.mark.parametrize("options", [dict(normalization="layer"), dict(activation="prelu")], ids=str)
def test_parameters_that_this_network_does_not_have(options):
    source = MLPRegressor(**SIZES | SMALL | options).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"init_from has a block \w+_1, and this network has none: .*coefs_"):
        start_of(source)
    network = start_of((source.coefs_, source.intercepts_))
    assert_array_equal(network.coefs[0], source.coefs_[0])


@both_estimators
def test_a_parameter_like_others(Estimator):
    y = labels(Estimator)
    source = Estimator(**SIZES | SMALL | {"random_state": 7}).fit(X, y)
    model = Estimator(init_from=source, frozen_layers=[0], warm_start=True, **SIZES | SMALL)
    assert clone(model).init_from is source
    model.fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.fit(X, y)
        one.partial_fit(X, y)
    assert_array_equal(model.network_.params, copy.network_.params)
    assert_array_equal(model.coefs_[0], source.coefs_[0])
    grid = {"init_from": [None, FrozenEstimator(source)], "frozen_layers": [None, [0, 1]]}
    search = GridSearchCV(clone(model), grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4


# frozen_layers


@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "muon"])
@pytest.mark.parametrize("frozen", [[0], (1, -1), np.array([2]), [-3, 0]])
def test_frozen_layers_stay(Estimator, solver, frozen):
    first = First()
    model = Estimator(frozen_layers=frozen, callbacks=first, solver=solver, alpha=0.5, **SIZES | SMALL)
    model.fit(X, labels(Estimator))
    numbers = {int(number) % 3 for number in frozen}
    for number in range(3):
        for ours, start in ((model.coefs_, first.network.coefs), (model.intercepts_, first.network.intercepts)):
            assert (ours[number] == start[number]).all() == (number in numbers)
    # their weights are not penalized
    penalty = sum((W**2).sum() for number, W in enumerate(model.coefs_) if number not in numbers)
    assert_allclose(model.network_.penalty(), 0.25 * penalty)


@both_estimators
def test_no_frozen_layers_is_the_same_model(Estimator):
    y = labels(Estimator)
    model, other = (Estimator(frozen_layers=frozen, **SIZES | SMALL).fit(X, y) for frozen in (None, []))
    assert_array_equal(model.network_.params, other.network_.params)


@both_estimators
@pytest.mark.parametrize("further", ["fit", "partial_fit"])
def test_layers_are_frozen_and_thawed_in_turn(Estimator, further):
    y = labels(Estimator)
    model = Estimator(warm_start=True, **SIZES | SMALL).fit(X, y)
    for frozen in ([0, 1], [2], None, [0, 1, 2]):
        before = [W.copy() for W in model.coefs_]
        getattr(model.set_params(frozen_layers=frozen), further)(X, y)
        same = [i for i, (W, old) in enumerate(zip(model.coefs_, before, strict=True)) if (old == W).all()]
        assert same == (frozen or [])


@pytest.mark.parametrize("solver", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_optimizer_gathered_does_not_move_frozen_layers(solver, dtype):
    model = MLPRegressor(solver=solver, dtype=dtype, **SIZES | SMALL)
    for _ in range(3):
        model.partial_fit(X, X[:, 0])
    before = [array.copy() for array in (*model.coefs_, *model.intercepts_)]
    model.set_params(frozen_layers=[0])
    for _ in range(3):
        model.partial_fit(X, X[:, 0])
    same = [(array == old).all() for array, old in zip((*model.coefs_, *model.intercepts_), before, strict=True)]
    assert same == [True, False, False] * 2


@pytest.mark.parametrize("further", ["fit", "partial_fit"])
@pytest.mark.parametrize("average", [dict(ema_decay=0.9), dict(swa_start=0.5)], ids=["ema", "swa"])
def test_the_averages_of_frozen_layers_stay(further, average):
    model = MLPRegressor(warm_start=True, **average, **SIZES | SMALL).fit(X, X[:, 0])
    before = [array.copy() for array in (*model.coefs_, *model.intercepts_)]
    if further == "partial_fit":
        model.set_params(swa_start=None)
    for _ in range(2):
        getattr(model.set_params(frozen_layers=[0]), further)(X, X[:, 0])
        same = [(array == old).all() for array, old in zip((*model.coefs_, *model.intercepts_), before, strict=True)]
        assert same == [True, False, False] * 2


def test_layers_in_residual_connections():
    first = First()
    model = MLPRegressor(layers=mixed_layers(), frozen_layers=[1, 2], callbacks=first, **SMALL).fit(X, X[:, 0])
    same = [name for name, block in model.network_.blocks.items() if (block == first.network.blocks[name]).all()]
    assert same == ["W_2", "W_3", "b_2", "b_3"]


def test_bad_layers():
    for frozen, error, message in (
        ([3], ValueError, "indices of coefs_, which has 3 arrays in this network; got 3"),
        ([-4], ValueError, "got -4"),
        ([0.0], TypeError, "frozen_layers must hold integers, got 0.0"),
        ([True], TypeError, "frozen_layers must hold integers, got True"),
        (2, ValueError, "The 'frozen_layers' parameter"),
    ):
        with pytest.raises(error, match=message):
            MLPRegressor(frozen_layers=frozen, **SIZES | SMALL).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"frozen_layers=\[0\] is not possible with solver='lbfgs'"):
        MLPRegressor(frozen_layers=[0], solver="lbfgs").fit(X, X[:, 0])
