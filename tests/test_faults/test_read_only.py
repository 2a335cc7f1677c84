"""Estimators with read-only arrays, as they come from memory-mapped files and other processes."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.multioutput import MultiOutputRegressor

from fastbp import MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
# weights of 1.9 MB, which joblib sends to its workers by a mapped file
X, Y = RNG.normal(size=(40, 400)), RNG.normal(size=(40, 2))
LARGE = dict(hidden_layer_sizes=(600,), max_iter=2, random_state=0)


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])


@pytest.mark.fault(58)
def test_partial_fit_in_workers():
    model, serial = (MultiOutputRegressor(MLPRegressor(**LARGE), n_jobs=n_jobs) for n_jobs in (2, None))
    for _ in range(2):
        model.partial_fit(X, Y)
        serial.partial_fit(X, Y)
    for one, other in zip(model.estimators_, serial.estimators_, strict=True):
        assert_array_equal(weights(one), weights(other))


@pytest.mark.fault(58)
def test_a_large_model_in_workers():
    model = MLPRegressor(**LARGE).fit(X, Y)
    expected = MLPRegressor(**LARGE).fit(X, Y).partial_fit(X, Y)
    for trained in joblib.Parallel(n_jobs=2)(joblib.delayed(model.partial_fit)(X, Y) for _ in range(2)):
        assert_array_equal(weights(trained), weights(expected))


class Failing:
    def on_epoch_end(self, state):
        raise ZeroDivisionError("the first error")


@pytest.mark.fault(58)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_model_from_a_mapped_file(solver, tmp_path):
    model = MLPRegressor(**LARGE, solver=solver).fit(X, Y)
    joblib.dump(model, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    before = mapped.predict(X)
    with pytest.raises(ZeroDivisionError, match="the first error"):
        mapped.set_params(callbacks=Failing()).partial_fit(X, Y)
    assert_array_equal(mapped.predict(X), before)
    mapped.set_params(callbacks=None).partial_fit(X, Y)
    assert_array_equal(weights(mapped), weights(model.partial_fit(X, Y)))
