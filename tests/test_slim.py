"""`slim`: what it leaves out, and what does not work afterwards; `estimators/slim.py`. Versions of pickles."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import MLPClassifier, MLPRegressor, VersionWarning, slim
from fastbp.losses import Quantile
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_attributes_stay(Estimator, solver, dtype):
    X, y = make_data()
    X = X.astype(dtype)
    model = Estimator(**SMALL, solver=solver).fit(X, y)
    small = slim(model)
    for same in (small, pickle.loads(pickle.dumps(small))):
        assert type(same) is Estimator
        assert_array_equal(output(same, X), output(model, X))
        assert same.get_params() == model.get_params()
        public = {name for name in vars(model) if name.endswith("_")}
        assert public == {name for name in vars(same) if name.endswith("_")}
    assert hasattr(model, "_optimizer") == (solver != "lbfgs")  # the original is as it was


@both_estimators
@pytest.mark.parametrize(("solver", "share"), [("adam", 0.36), ("sgd", 0.53)])
def test_size(Estimator, solver, share):
    X, y = make_data(n_features=80)
    model = Estimator(**SMALL | dict(hidden_layer_sizes=(100,), max_iter=1), solver=solver).fit(X, y)
    assert len(pickle.dumps(slim(model))) < share * len(pickle.dumps(model))


def test_the_weights_are_its_own():
    X, y = make_data()
    model = MLPRegressor(**SMALL).fit(X, y)
    before = model.predict(X)
    small = slim(model)
    small.coefs_[0][:] = 0
    assert_array_equal(model.predict(X), before)
    model.coefs_ = [W * 2 for W in model.coefs_]
    assert_array_equal(slim(model).predict(X), model.predict(X))


@both_estimators
def test_partial_fit_warns_once_and_begins_anew(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL).fit(X, y)
    small = pickle.loads(pickle.dumps(slim(model)))
    with pytest.warns(UserWarning, match=r"fastbp\.slim: partial_fit begins with a new optimizer"):
        small.partial_fit(X, y)
    small.partial_fit(X, y)
    fresh = Estimator(**SMALL).fit(X, y)
    del fresh._optimizer, fresh._seed
    fresh.partial_fit(X, y).partial_fit(X, y)
    assert_array_equal(small.network_.params, fresh.network_.params)


@pytest.mark.parametrize("warm_start", [False, True])
def test_fit_goes_on_as_before(warm_start):
    X, y = make_data()
    model = MLPRegressor(**SMALL, warm_start=warm_start).fit(X, y)
    small = slim(model).fit(X, y)
    assert_array_equal(small.network_.params, model.fit(X, y).network_.params)
    small.partial_fit(X, y)


def test_what_cannot_be_slimmed():
    X, y = make_data()
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(X, y)
    with pytest.raises(TypeError, match=r"got Pipeline\..*slim\(pipeline\[-1\]\)"):
        slim(model)
    before = model.predict_proba(X)
    model.steps[-1] = (model.steps[-1][0], slim(model[-1]))
    assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(NotFittedError):
        slim(MLPClassifier())


@pytest.mark.fault(36)
@both_estimators
def test_a_pickle_of_another_version_warns(Estimator, monkeypatch):
    X, y = make_data()
    model = Estimator(**SMALL).fit(X, y)
    unfitted = pickle.loads(pickle.dumps(Estimator()))
    assert "_fastbp_version" not in vars(unfitted)
    monkeypatch.setattr("fastbp.versions.VERSION", "0.0.7")
    old = pickle.dumps(model)
    monkeypatch.undo()
    with pytest.warns(
        VersionWarning, match=rf"{Estimator.__name__} was pickled with fastbp 0\.0\.7 .*{fastbp.__version__}"
    ):
        loaded = pickle.loads(old)
    assert_array_equal(loaded.predict(X), model.predict(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(pickle.dumps(loaded))


@pytest.mark.parametrize(
    "changed",
    [dict(loss="gaussian"), dict(loss=Quantile([0.1, 0.9])), dict(alpha=-1.0), dict(l1=-1.0), dict(loss="bogus")],
    ids=str,
)
@pytest.mark.parametrize(
    "way", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, slim], ids=["pickle", "copy", "slim"]
)
def test_a_model_whose_parameters_were_changed_after_fit_is_not_lost(changed, way):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    expected = model.fit(X, X[:, 0]).predict(X)
    model.set_params(**changed)
    assert_array_equal(way(model).predict(X), expected)
    model.coefs_ = [W.copy() for W in model.coefs_]
    assert_array_equal(model.predict(X), expected)
