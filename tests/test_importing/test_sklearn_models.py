"""Perceptrons of scikit-learn become those of fastbp, and go on as those."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.multiclass import type_of_target

import fastbp
from fastbp import from_sklearn
from sklearn_versions import RELEASE

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Training interrupted"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
SCORE = np.tanh(X @ RNG.normal(size=(4, 3)))
LABELS = SCORE.argmax(axis=1)
NAMES = np.array(["a", "b", "c"])
SMALL = dict(hidden_layer_sizes=(6, 5), max_iter=6, batch_size=20, random_state=0)
#: Sums are added up in another order: some rounding errors, which further training does not multiply by much
CLOSE = dict(rtol=1e-9, atol=1e-12)

CLASSIFIERS = {
    "labels": ({}, NAMES[LABELS]),
    "two": ({"activation": "tanh"}, NAMES[LABELS // 2]),
    "bools": ({"activation": "logistic"}, LABELS > 0),
    "indicators": ({"activation": "identity"}, np.eye(3, dtype=int)[LABELS]),
    "early stopping": ({"early_stopping": True}, LABELS),
    "early stopping of two": ({"early_stopping": True, "validation_fraction": 0.3}, LABELS // 2),
    "sgd": ({"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1}, LABELS),
    "sgd that scales": ({"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3}, LABELS),
    "sgd without nesterov": ({"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5}, LABELS),
    "lbfgs": ({"solver": "lbfgs"}, LABELS),
    "no hidden layer": ({"hidden_layer_sizes": ()}, LABELS),
    "one size": ({"hidden_layer_sizes": 4}, LABELS),
}
REGRESSORS = {
    "one": ({}, SCORE[:, 0]),
    "two": ({"solver": "sgd"}, SCORE[:, :2]),
    "poisson": ({"loss": "poisson"}, np.exp(SCORE[:, 0])),
    "early stopping": ({"early_stopping": True}, SCORE[:, 0]),
    "lbfgs": ({"solver": "lbfgs", "loss": "poisson"}, np.exp(SCORE[:, 0])),
}
# scikit-learn 1.6 has no other loss of a regressor
REGRESSORS = {name: case for name, case in REGRESSORS.items() if RELEASE > (1, 6) or "loss" not in case[0]}
CASES = [(theirs.MLPClassifier, *case) for case in CLASSIFIERS.values()]
CASES += [(theirs.MLPRegressor, *case) for case in REGRESSORS.values()]
IDS = [f"classifier {name}" for name in CLASSIFIERS] + [f"regressor {name}" for name in REGRESSORS]
each_case = pytest.mark.parametrize(("cls", "params", "y"), CASES, ids=IDS)


def assert_same_predictions(one, other):
    if not hasattr(other, "predict_proba"):
        assert_allclose(one.predict(X), other.predict(X), **CLOSE)
    else:
        assert_array_equal(one.predict(X), other.predict(X))
        assert_allclose(one.predict_proba(X), other.predict_proba(X), **CLOSE)


def assert_same_state(one, other):
    """The weights, and all attributes that both have."""
    for ours, weights in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert ours.dtype == weights.dtype
        assert_allclose(ours, weights, **CLOSE)
    for name, value in vars(other).items():
        if name.endswith("_") and name not in ("coefs_", "intercepts_"):
            ours = getattr(one, name)
            if value is None or isinstance(value, str):
                assert ours == value, name
            elif np.asarray(value).dtype.kind == "f":
                assert_allclose(ours, value, rtol=1e-8, err_msg=name)
            else:
                assert_array_equal(ours, value, err_msg=name)


@each_case
def test_predictions_and_attributes(cls, params, y):
    other = cls(**SMALL | params).fit(X, y)
    ours = from_sklearn(other)
    assert type(ours) is getattr(fastbp, cls.__name__)
    assert ours.get_params(deep=False).items() >= other.get_params().items()
    assert_same_predictions(ours, other)
    assert_same_state(ours, other)
    assert not any(np.shares_memory(a, b) for a, b in zip(ours.coefs_, other.coefs_, strict=True))


@pytest.mark.parametrize(
    ("cls", "params", "y"),
    [case for case in CASES if case[1].get("solver") != "lbfgs"],
    ids=[name for name in IDS if "lbfgs" not in name],
)
def test_partial_fit_goes_on(cls, params, y):
    other = cls(**SMALL | params | {"shuffle": False, "early_stopping": False}).fit(X, y)
    ours = from_sklearn(other)
    for _ in range(3):
        other.partial_fit(X, y)
        ours.partial_fit(X, y)
    assert_same_state(ours, other)
    assert_same_predictions(ours, other)


@each_case
def test_warm_start_goes_on(cls, params, y):
    other = cls(**SMALL | params, warm_start=True).fit(X, y)
    ours = from_sklearn(other).fit(X, y)
    other.fit(X, y)
    if "early_stopping" in params:  # of which weights are best, scikit-learn's warm_start asks the last fit too
        assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=1e-9)
        assert_allclose(ours.validation_scores_, other.validation_scores_, rtol=1e-9)
    else:
        assert_same_state(ours, other)


def test_after_partial_fit_with_a_generator_and_shuffled_rows():
    """The generator is a copy: both draw the same rows, and none takes from the other."""
    other = theirs.MLPClassifier(**SMALL | {"random_state": np.random.RandomState(3)})
    other.partial_fit(X, LABELS, classes=[0, 1, 2]).partial_fit(X, LABELS)
    ours = from_sklearn(other)
    for _ in range(2):
        other.partial_fit(X, LABELS)
    for _ in range(2):
        ours.partial_fit(X, LABELS)
    assert_same_state(ours, other)


def test_early_stopping_stops_at_the_same_epoch():
    params = SMALL | {"early_stopping": True, "max_iter": 200, "n_iter_no_change": 3, "learning_rate_init": 0.03}
    other = theirs.MLPClassifier(**params).fit(X, LABELS)
    ours = from_sklearn(other)
    reference = fastbp.MLPClassifier(**params).fit(X, LABELS)
    assert ours.best_iteration_ == reference.best_iteration_
    assert ours.history_.keys() <= reference.history_.keys()
    assert_allclose(ours.history_["loss"], reference.history_["loss"], rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype(dtype):
    other = theirs.MLPClassifier(**SMALL).fit(X.astype(dtype), LABELS)
    ours = from_sklearn(other)
    assert ours.network_.dtype == dtype
    rtol = 1e-9 if dtype == np.float64 else 1e-5
    assert_allclose(ours.predict_proba(X.astype(dtype)), other.predict_proba(X.astype(dtype)), rtol=rtol)


def test_sparse_indicators():
    y = sparse.csr_matrix(np.eye(3, dtype=int)[LABELS])
    assert type_of_target(y) == "multilabel-indicator"
    other = theirs.MLPClassifier(**SMALL).fit(X, y)
    found, expected = from_sklearn(other).predict(X), other.predict(X)
    assert sparse.issparse(found) == sparse.issparse(expected)
    assert_array_equal(found.toarray(), expected.toarray())


def test_names_of_features():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    ours = from_sklearn(theirs.MLPClassifier(**SMALL).fit(frame, LABELS))
    assert_array_equal(ours.feature_names_in_, list("abcd"))
    ours.predict(frame)
    with pytest.raises(ValueError, match="feature names"):
        ours.predict(frame[list("bacd")])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_files_and_pickles(name, tmp_path):
    params, y = CLASSIFIERS[name]
    ours = from_sklearn(theirs.MLPClassifier(**SMALL | params).fit(X, y))
    copies = [pickle.loads(pickle.dumps(ours))]
    pytest.importorskip("safetensors")
    fastbp.save(ours, tmp_path / "model.safetensors")
    copies.append(fastbp.load(tmp_path / "model.safetensors"))
    for copy in copies:
        assert_array_equal(copy.predict_proba(X), ours.predict_proba(X))


def test_weights_that_were_assigned():
    """The state of the optimizer is that of other weights: partial_fit begins with a new one."""
    other = theirs.MLPClassifier(**SMALL).fit(X, LABELS)
    other.coefs_ = [W * 0.5 for W in other.coefs_]
    assert_same_predictions(from_sklearn(other), other)
    other.coefs_[0] = other.coefs_[0][:, :3]
    with pytest.raises(ValueError, match=r"coefs_\[1\] must have shape \(3, 5\)|intercepts_\[0\] must have shape"):
        from_sklearn(other)


def test_refused():
    class Own(theirs.MLPClassifier):
        """A subclass, whose predict may be another."""

    with pytest.raises(TypeError, match=r"sklearn\.neural_network, got sklearn\.linear_model"):
        from_sklearn(LogisticRegression())
    with pytest.raises(TypeError, match="pipeline"):
        from_sklearn(make_pipeline(theirs.MLPClassifier()))
    with pytest.raises(TypeError, match="Own"):
        from_sklearn(Own(**SMALL).fit(X, LABELS))
    with pytest.raises(TypeError, match=r"got fastbp\."):
        from_sklearn(fastbp.MLPClassifier())
    with pytest.raises(NotFittedError):
        from_sklearn(theirs.MLPClassifier())


def test_a_run_that_did_not_converge_says_so():
    """The parameters are those of scikit-learn, so a further fit warns as before."""
    other = theirs.MLPClassifier(**SMALL).fit(X, LABELS)
    with pytest.warns(ConvergenceWarning):
        from_sklearn(other).fit(X, LABELS)
