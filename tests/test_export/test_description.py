"""The description of an estimator, walked in NumPy."""

import numpy as np
import pytest

from fastbp import MLPClassifier, MLPRegressor, Network, TabularMLPClassifier
from fastbp.export.description import Ensemble, ForwardPass, Perceptron, describe
from fastbp.export.outcomes import ManyClasses, TwoClasses
from fastbp.export.tables import LevelColumn, NumberColumn
from fastbp.layers import BatchNorm, Dense, Dropout
from graph_reference import GraphTwin

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
FAST = dict(hidden_layer_sizes=(8,), max_iter=500, tol=0.01, random_state=0)


def test_a_forward_pass_is_that_of_prediction():
    layers = [Dense(5), BatchNorm(), Dropout(0.5), Dense(2)]
    network = Network(layers=layers, n_features=3, output_activation="softmax", random_state=0)
    network.blocks["mean_1"][...] = 0.5
    walk = ForwardPass.of(network)
    assert [op.kind for op in walk.operations] == ["dense", "running_norm", "dense", "activation"]
    values = GraphTwin(walk.graph, walk.params).forward(X)
    np.testing.assert_allclose(values[walk.output], network.forward(X), rtol=1e-12)
    np.testing.assert_allclose(values[walk.raw_output], network.raw_prediction(X), rtol=1e-12)
    assert [array.shape for array in walk.arrays(walk.operations[0])] == [(3, 5), (5,)]


def test_a_forward_pass_is_a_copy():
    network = Network([3, 2], random_state=0)
    walk = ForwardPass.of(network)
    network.params[...] = 0
    assert walk.params.all()
    assert walk.dtype == np.float64


def test_a_perceptron():
    found = describe(MLPClassifier(**FAST).fit(X, X[:, 0] > 0))
    assert isinstance(found, Perceptron)
    assert found.outcome == TwoClasses(("booleans", [False, True]))
    assert (found.n_features, found.dtype, found.feature_names) == (3, np.float64, None)


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    found = describe(MLPRegressor(**FAST).fit(pandas.DataFrame(X, columns=list("abc")), X[:, 0]))
    assert found.feature_names == ("a", "b", "c")


def test_dtypes_of_the_input_and_of_the_arithmetic():
    for dtype in ("float32", "float64"):
        for parameter in (None, "float32"):
            model = MLPRegressor(**FAST, dtype=parameter).fit(X.astype("float32"), X[:, 0])
            found = describe(model, dtype)
            assert found.dtype == dtype
            assert found.network.dtype == model.predict(X.astype(dtype)).dtype


@pytest.mark.parametrize("dtype", ["float16", "numbers", [1], {}, int])
def test_other_dtypes(dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32', 'float64' or None, got"):
        describe(Network([3, 2]), dtype)


def test_an_ensemble():
    table = np.column_stack([RNG.normal(size=200), RNG.integers(0, 2, 200), RNG.integers(0, 5, 200)])
    table = table.astype(object)
    table[:, 2] = [f"level {value}" for value in table[:, 2]]
    params = dict(n_ensemble=2, epochs=3, hidden_layer_sizes=(4,), random_state=0)
    model = TabularMLPClassifier(**params).fit(table, np.arange(200) % 3)
    found = describe(model)
    assert isinstance(found, Ensemble)
    assert [type(column) for column in found.columns] == [NumberColumn, NumberColumn, LevelColumn]
    assert found.columns[1].is_binary
    assert found.columns[2].codes == {f"level {i}.0": float(i) for i in range(5)}
    assert np.isnan([found.columns[2].unseen, found.columns[2].missing]).all()
    assert not found.columns[2].knows_missing
    assert not found.is_matrix
    assert isinstance(found.outcome.labels.values, list)
    assert sum(member.weight for member in found.members) == pytest.approx(1)
    assert {type(member.model.outcome) for member in found.members} == {ManyClasses}
