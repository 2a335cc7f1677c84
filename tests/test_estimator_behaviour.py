"""Behaviour of the estimators that users of scikit-learn rely on, apart from numerical results."""

import copy
import inspect
import io
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn import config_context
from sklearn import neural_network as reference
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import estimator_html_repr, get_tags

import fastbp
from fastbp.estimators.classifier import accuracy
from sklearn_versions import RELEASE, compares_with_reference

NAMES = ("MLPClassifier", "MLPRegressor")
both_estimators = pytest.mark.parametrize("name", NAMES)
ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = dict(hidden_layer_sizes=(6,), max_iter=5, random_state=0)


def data(name):
    """60 rows of 5 columns with three classes or one target."""
    if name == "MLPClassifier":
        return make_classification(60, 5, n_informative=4, n_redundant=1, n_classes=3, random_state=0)
    X, y = make_regression(60, 5, random_state=0)
    return X, y / y.std()


def ours_and_theirs(name, **params):
    return getattr(fastbp, name)(**params), getattr(reference, name)(**params)


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])


# --- parameters -----------------------------------------------------------------


@compares_with_reference
@both_estimators
def test_constructor_starts_with_scikit_learns_parameters(name):
    ours, theirs = (
        list(inspect.signature(cls).parameters.values()) for cls in (getattr(fastbp, name), getattr(reference, name))
    )
    described = [(p.name, p.kind, p.default) for p in ours]
    assert described[: len(theirs)] == [(p.name, p.kind, p.default) for p in theirs]
    further = ours[len(theirs) :]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in further)
    assert {p.name: p.default for p in further}["n_threads"] is None


@both_estimators
def test_get_params_set_params_clone(name):
    model = getattr(fastbp, name)(hidden_layer_sizes=[3], alpha=0.5, n_threads=2)
    assert model.get_params()["n_threads"] == 2
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(alpha=0.25, activation="gelu") is model
    assert (model.alpha, model.activation) == (0.25, "gelu")
    with pytest.raises(ValueError, match="Invalid parameter 'learning_rte'"):
        model.set_params(learning_rte=0.1)


@both_estimators
@ignore_max_iter
def test_clone_forgets_the_fit_and_parameters_are_not_touched(name):
    model = getattr(fastbp, name)(**SMALL, batch_size=7)
    before = dict(model.get_params())
    model.fit(*data(name))
    assert model.get_params() == before
    assert not hasattr(clone(model), "coefs_")


@both_estimators
def test_repr(name):
    ours, theirs = ours_and_theirs(name, alpha=0.5, hidden_layer_sizes=(3, 2))
    assert repr(ours) == repr(theirs)
    assert "n_threads=2" in repr(ours.set_params(n_threads=2))
    html = estimator_html_repr(ours)
    assert name in html
    assert "n_threads" in html


@compares_with_reference
@both_estimators
@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
def test_tags(name, params):
    ours, theirs = map(get_tags, ours_and_theirs(name, **params))
    if name == "MLPClassifier":  # several columns of labels are fastbp's only
        assert not theirs.target_tags.multi_output
        theirs.target_tags.multi_output = True
    assert ours == theirs


#: arguments of methods that scikit-learn's do not have
OF_FASTBP = {"X_val", "y_val", "sample_weight_val", "classes", "resume_from", "return_std"}


@compares_with_reference
@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_methods(name, solver):
    ours, theirs = ours_and_theirs(name, solver=solver)
    public = {m for m in dir(theirs) if not m.startswith("_") and callable(getattr(theirs, m))}
    if solver == "lbfgs":
        public.discard("partial_fit")  # which scikit-learn's regressor offers by mistake
        assert not hasattr(ours, "partial_fit")
    for method in public:
        of_sklearn = list(inspect.signature(getattr(theirs, method)).parameters)
        parameters = inspect.signature(getattr(ours, method)).parameters
        if method.startswith("set_"):  # keywords only, sorted by name
            assert set(of_sklearn) <= set(parameters)
        else:  # what fastbp adds comes after them, and may be left out
            assert list(parameters)[: len(of_sklearn)] == of_sklearn
        own = {p: parameters[p].default for p in parameters if p not in of_sklearn}
        assert set(own) <= OF_FASTBP
        assert inspect.Parameter.empty not in own.values()


# --- fitted attributes ----------------------------------------------------------


@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize(
    "params", [{"solver": "sgd"}, {"solver": "adam"}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str
)
def test_public_attributes(name, params, frame):
    X, y = data(name)
    if frame:
        X = pytest.importorskip("pandas").DataFrame(X, columns=list("abcde"))
    ours, theirs = (model.fit(X, y) for model in ours_and_theirs(name, **SMALL, **params))
    expected = {a for a in vars(theirs) if a.endswith("_") and not a.startswith("_")}
    assert {a for a in expected if not hasattr(ours, a)} == set()
    for attribute in expected:
        value = getattr(theirs, attribute)
        # numpy.float64 is a float; which of the two it is makes no difference to a user
        kind = float if isinstance(value, float) else type(value)
        assert isinstance(getattr(ours, attribute), kind), attribute

    # What one solver lacks in scikit-learn, code probes for with hasattr.
    every = {"loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"}
    every |= {"classes_", "feature_names_in_"}
    assert {a for a in every if hasattr(ours, a)} == every & expected
    assert (ours.n_layers_, ours.n_outputs_, ours.n_features_in_, ours.out_activation_) == (
        theirs.n_layers_,
        theirs.n_outputs_,
        theirs.n_features_in_,
        theirs.out_activation_,
    )


@ignore_max_iter
@pytest.mark.parametrize("n_classes", [2, 3, "multilabel"])
def test_names_that_the_onnx_converter_reads(n_classes):
    X, y = data("MLPClassifier")
    y = np.c_[y > 0, y > 1] if n_classes == "multilabel" else np.minimum(y, n_classes - 1)
    ours, theirs = (model.fit(X, y) for model in ours_and_theirs("MLPClassifier", **SMALL))
    assert ours._label_binarizer.y_type_ == theirs._label_binarizer.y_type_
    assert ours.out_activation_ == theirs.out_activation_
    assert ours.n_layers_ == len(ours.coefs_) + 1 == len(ours.intercepts_) + 1
    assert_array_equal(ours.classes_, theirs.classes_)


@ignore_max_iter
def test_predict_log_proba():
    X, y = data("MLPClassifier")
    model = fastbp.MLPClassifier(**SMALL).fit(X, y)
    assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-13)


@pytest.mark.fault(9)
@both_estimators
def test_not_fitted(name):
    model = getattr(fastbp, name)()
    X, y = data(name)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            with pytest.raises(NotFittedError, match=f"This {name} instance is not fitted"):
                getattr(model, method)(X)
    with pytest.raises(NotFittedError):
        model.score(X, y)


# --- copies ---------------------------------------------------------------------


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.fault(34)
@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("duplicate", [through_pickle, through_joblib, copy.deepcopy])
@pytest.mark.parametrize("start", ["fit", "partial_fit"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_copy_goes_on_where_the_original_was(name, solver, start, duplicate):
    X, y = data(name)
    first = {"classes": np.unique(y)} if (name, start) == ("MLPClassifier", "partial_fit") else {}
    model = getattr(fastbp, name)(**SMALL, solver=solver, batch_size=16, learning_rate_init=0.01)
    getattr(model, start)(X, y, **first)

    twin, before = duplicate(model), copy.deepcopy(model)
    at_copy = model.predict(X)
    assert_array_equal(twin.predict(X), at_copy)
    assert_array_equal(weights(twin), weights(model))
    for _ in range(3):
        model.partial_fit(X, y)
    assert_array_equal(twin.predict(X), at_copy)  # nothing is shared
    for _ in range(3):
        twin.partial_fit(X, y)
    assert_array_equal(weights(twin), weights(model))
    assert twin.loss_curve_ == model.loss_curve_
    raw = "predict_proba" if name == "MLPClassifier" else "predict"
    assert_array_equal(getattr(twin, raw)(X), getattr(model, raw)(X))
    assert (getattr(twin, raw)(X) != getattr(before, raw)(X)).any()


# --- weights in the user's hands --------------------------------------


@pytest.mark.fault(41)
@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("how", ["in place", "one layer", "whole list"])
def test_edited_weights_are_used(name, how):
    X, y = data(name)
    models = [model.fit(X, y) for model in ours_and_theirs(name, **SMALL, solver="sgd")]
    for model in models:
        assert_array_equal(model.predict(X), model.predict(X))
        if how == "in place":
            model.coefs_[0][:, 1] = 0.5
            model.intercepts_[1] -= 0.25
        elif how == "one layer":
            model.coefs_[0] = np.full_like(model.coefs_[0], 0.01)
        else:
            model.coefs_ = [np.asfortranarray(0.5 * w) for w in model.coefs_]
            model.intercepts_ = [b + 0.125 for b in model.intercepts_]
    ours, theirs = models
    output = "predict_proba" if name == "MLPClassifier" else "predict"
    # Rounding only, in a handful of products; see test_parity.py.
    tolerance = dict(rtol=1e-9, atol=1e-12)
    assert_allclose(getattr(ours, output)(X), getattr(theirs, output)(X), **tolerance)
    for model in models:
        # All rows in one batch: the order they are drawn in does not matter.
        model.partial_fit(X, y)
    assert_allclose(getattr(ours, output)(X), getattr(theirs, output)(X), **tolerance)
    assert_allclose(weights(ours), weights(theirs), **tolerance)


@pytest.mark.fault(41)
@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("method", ["predict", "partial_fit"])
@pytest.mark.parametrize("attribute", ["coefs_", "intercepts_"])
@pytest.mark.parametrize("edit", ["wider", "transposed", "layer missing"])
def test_edited_weights_of_a_wrong_shape(name, edit, attribute, method):
    X, y = data(name)
    model = getattr(fastbp, name)(**SMALL).fit(X, y)
    layers = getattr(model, attribute)
    if edit == "wider":
        layers[0] = np.ones([n + 1 for n in layers[0].shape])
    elif edit == "transposed":
        layers[0] = layers[0].reshape(layers[0].shape[::-1] + (1,) * (layers[0].ndim == 1)).copy()
    else:
        setattr(model, attribute, layers[:-1])
    arguments = (X,) if method == "predict" else (X, y)
    with pytest.raises(ValueError, match=attribute):
        getattr(model, method)(*arguments)


# --- frames ---------------------------------------------------------------------


@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(name, library):
    frame = pytest.importorskip(library).DataFrame
    X, y = data(name)
    columns = ["age", "mass", "height", "income", "rooms"]
    X_frame = frame(dict(zip(columns, X.T, strict=True)))
    if RELEASE < (1, 9) and library == "polars":
        pytest.skip("scikit-learn below 1.9 does not know the names of columns of polars 2, and polars 1 warns of it")
    model = getattr(fastbp, name)(**SMALL).fit(X_frame, y)
    assert list(model.feature_names_in_) == columns
    plain = getattr(fastbp, name)(**SMALL).fit(X, y)
    assert_array_equal(model.predict(X_frame), plain.predict(X))

    renamed = frame(dict(zip(["years", *columns[1:]], X.T, strict=True)))
    with pytest.raises(ValueError, match=r"(?s)feature names should match.*unseen.*\n- years"):
        model.predict(renamed)
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(X_frame[columns[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


# --- metadata routing -----------------------------------------------------------


@compares_with_reference
@ignore_max_iter
def test_sample_weight_is_routed_through_a_grid_search():
    X, y = data("MLPRegressor")
    sample_weight = np.random.default_rng(0).uniform(size=60)
    searches = []
    with config_context(enable_metadata_routing=True):
        for model in ours_and_theirs("MLPRegressor", **SMALL, batch_size=20):
            model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            grid = {f"{type(model).__name__.lower()}__alpha": [1e-3, 10.0]}
            search = GridSearchCV(make_pipeline(MinMaxScaler(), model), grid, cv=3)
            searches.append(search.fit(X, y, sample_weight=sample_weight))
            assert model.set_partial_fit_request(sample_weight=True) is model
    ours, theirs = searches
    # Rounding only; see test_parity.py.
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    scores = "mean_test_score"
    assert_allclose(ours.cv_results_[scores], theirs.cv_results_[scores], rtol=1e-6)
    unweighted = clone(ours.best_estimator_).fit(X, y)
    assert not np.allclose(unweighted.predict(X), ours.predict(X))


# --- warnings and printing ------------------------------------------------------


@both_estimators
def test_warnings(name):
    X, y = data(name)
    make = getattr(fastbp, name)
    message = r"Stochastic Optimizer: Maximum iterations \(5\) reached and the optimization"
    with pytest.warns(ConvergenceWarning, match=message) as caught:
        make(**SMALL).fit(X, y)
    assert len(caught) == 1
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        make(**SMALL, solver="lbfgs").fit(X, y)

    quiet = dict(tol=1e9, n_iter_no_change=1, random_state=0)  # converges in a few epochs
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        column = make(**quiet).fit(X, y[:, None])
    assert_array_equal(column.predict(X), make(**quiet).fit(X, y).predict(X))
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than"):
        make(**quiet, batch_size=61).fit(X, y)


@both_estimators
@ignore_max_iter
@pytest.mark.parametrize(
    "params",
    [
        dict(solver="adam"),
        dict(solver="sgd", tol=0.5, n_iter_no_change=2),
        dict(solver="sgd", learning_rate="adaptive", tol=1e3, n_iter_no_change=1, max_iter=50),
        dict(early_stopping=True, tol=1.0, n_iter_no_change=2, learning_rate_init=0.1),
        dict(
            learning_rate="adaptive",
            solver="sgd",
            early_stopping=True,
            tol=1.0,
            n_iter_no_change=2,
            learning_rate_init=0.3,
        ),
    ],
    ids=repr,
)
def test_verbose_prints_what_scikit_learn_prints(name, params, capsys):
    X, y = data(name)
    printed = []
    for model in ours_and_theirs(name, **SMALL | params, verbose=True):
        model.fit(X, y)
        if not model.early_stopping:
            model.partial_fit(X, y)
        printed.append(capsys.readouterr().out)
    assert "Iteration 3, loss = " in printed[1]
    assert printed[0] == printed[1]


# --- the activations beyond scikit-learn's --------------------------------------

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
FORMULAS = {
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "softplus": lambda z: np.logaddexp(0, z),
}


@ignore_max_iter
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("activation", FORMULAS)
def test_further_activations(activation, solver):
    X, y = data("MLPRegressor")
    model = fastbp.MLPRegressor(
        hidden_layer_sizes=(20, 10),
        activation=activation,
        solver=solver,
        learning_rate_init=0.02,
        max_iter=150,
        random_state=0,
    ).fit(X, y)
    assert model.score(X, y) > 0.9
    layer = X
    for coef, intercept in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        layer = FORMULAS[activation](layer @ coef + intercept)
    expected = (layer @ model.coefs_[-1] + model.intercepts_[-1]).ravel()
    # Three products of at most 20 terms: a few roundings of 1e-16.
    assert_allclose(model.predict(X), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["numbers", "names", "multilabel"])
def test_the_accuracy_of_early_stopping_is_scikit_learns(kind, weighted):
    rng = np.random.default_rng(0)
    y, predictions = rng.integers(3, size=(2, 50))
    weight = rng.uniform(size=50) if weighted else None
    if kind == "names":
        y, predictions = (np.array(["a", "b", "c"], object)[numbers] for numbers in (y, predictions))
    if kind == "multilabel":
        y, predictions = rng.integers(2, size=(2, 50, 2))
    assert accuracy(y, predictions, weight) == accuracy_score(y, predictions, sample_weight=weight)


@both_estimators
@ignore_max_iter
def test_lbfgs_leaves_nothing_of_an_earlier_fit(name):
    X, y = data(name)
    Estimator = getattr(fastbp, name)
    first = Estimator(**SMALL, solver="lbfgs").fit(X, y)
    model = Estimator(**SMALL, early_stopping=True, ema_decay=0.9).fit(X, y)
    model.set_params(early_stopping=False, ema_decay=None, solver="lbfgs").fit(X, y)
    assert vars(model).keys() == vars(first).keys()
    # nor does what follows use it
    models = [model.set_params(solver="adam").partial_fit(X, y) for model in (model, first)]
    assert_array_equal(models[0].network_.params, models[1].network_.params)
    assert models[0].loss_curve_ == models[1].loss_curve_
    assert len(model.loss_curve_) == 1
