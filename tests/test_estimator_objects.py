"""Names or objects: solver, learning_rate, loss, activation and output_activation of the estimators and of Network, and
the one description of the parameters; `estimators/parameters.py`."""

import copy
import inspect
import pickle
from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.activations import ACTIVATIONS, Exp, Identity, Logistic, Relu, Softmax, Tanh
from fastbp.estimators.parameters import from_name
from fastbp.losses import BinaryLogLoss, FunctionLoss, LogLoss, Loss, Poisson, SquaredError
from fastbp.optimizers import SGD, Adam, Optimizer
from fastbp.schedules import Adaptive, Constant, InverseScaling, Schedule
from loss_functions import squared_error

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = RNG.poisson(np.exp(X[:, 0] / 2)).astype(float)
LABELS = np.digitize(X[:, 0], [-0.3, 0.3])
SMALL = dict(hidden_layer_sizes=(5,), max_iter=12, batch_size=16, random_state=0, learning_rate_init=0.01)
both_estimators = pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])


def targets(Estimator):
    return LABELS if Estimator is MLPClassifier else Y


def fitted(Estimator, **params):
    return Estimator(**SMALL | params).fit(X, targets(Estimator))


def assert_same_model(model, other):
    assert_array_equal(model.network_.params, other.network_.params)
    assert model.loss_ == other.loss_
    assert_array_equal(model.predict(X), other.predict(X))


# A name and an object give the same model, bit for bit


BY_NAME_AND_BY_OBJECT = [
    (dict(solver="adam"), dict(solver=Adam())),
    (dict(solver="adam", beta_1=0.5, beta_2=0.9, epsilon=1e-3), dict(solver=Adam(0.5, 0.9, 1e-3))),
    (dict(solver="sgd"), dict(solver=SGD())),
    (dict(solver="sgd", momentum=0.5, nesterovs_momentum=False), dict(solver=SGD(0.5, False))),
    (dict(solver="sgd", learning_rate="constant"), dict(solver="sgd", learning_rate=Constant())),
    (
        dict(solver="sgd", learning_rate="invscaling", power_t=0.3),
        dict(solver=SGD(), learning_rate=InverseScaling(0.3)),
    ),
    (
        dict(solver=SGD(), learning_rate="invscaling", power_t=0.3),
        dict(solver="sgd", learning_rate=InverseScaling(0.3)),
    ),
    (
        dict(solver="sgd", learning_rate="adaptive", tol=0.1, n_iter_no_change=1),
        dict(solver="sgd", learning_rate=Adaptive(), tol=0.1, n_iter_no_change=1),
    ),
    # as in scikit-learn, the name of a schedule counts for sgd only
    (dict(solver="adam", learning_rate="invscaling"), dict(solver=Adam(), learning_rate="adaptive")),
    (dict(activation="tanh"), dict(activation=Tanh())),
    (dict(solver="lbfgs", activation="tanh"), dict(solver="lbfgs", activation=Tanh())),
]


@both_estimators
@pytest.mark.parametrize(("by_name", "by_object"), BY_NAME_AND_BY_OBJECT)
def test_a_name_and_an_object_give_the_same_model(Estimator, by_name, by_object):
    assert_same_model(fitted(Estimator, **by_name), fitted(Estimator, **by_object))


@pytest.mark.parametrize(
    ("by_name", "by_object"),
    [
        (dict(loss="squared_error"), dict(loss=SquaredError())),
        (dict(loss="poisson"), dict(loss=Poisson())),
        (dict(loss="poisson", output_activation="exp"), dict(loss=Poisson(), output_activation=Exp())),
        (dict(output_activation="identity"), dict(output_activation=Identity())),
        (dict(loss=squared_error), dict(loss=FunctionLoss(squared_error))),
    ],
)
def test_losses_and_outputs_of_a_regressor(by_name, by_object):
    model, other = fitted(MLPRegressor, **by_name), fitted(MLPRegressor, **by_object)
    assert_same_model(model, other)
    assert other.out_activation_ == model.out_activation_


@pytest.mark.parametrize("output", [Softmax(), "softmax", "auto"])
def test_loss_and_output_of_a_classifier(output):
    other = fitted(MLPClassifier, loss=LogLoss(), output_activation=output)
    assert_same_model(fitted(MLPClassifier), other)
    assert other.out_activation_ == "softmax"


def test_an_object_has_constants_of_its_own():
    # those of the estimator are for names
    assert_same_model(fitted(MLPRegressor, solver=Adam(), beta_1=0.1), fitted(MLPRegressor))
    schedule = dict(solver="sgd", learning_rate=InverseScaling())
    assert_same_model(fitted(MLPRegressor, **schedule, power_t=2.0), fitted(MLPRegressor, **schedule))


def test_a_schedule_object_counts_for_adam_too():
    model = fitted(MLPRegressor, learning_rate=InverseScaling(1.0))
    assert model._optimizer.learning_rate == 0.01 / (12 * 60 + 1)
    assert fitted(MLPRegressor, learning_rate="invscaling")._optimizer.learning_rate == 0.01


# Nested parameters


@both_estimators
def test_grid_search_reaches_the_constants(Estimator):
    search = GridSearchCV(Estimator(**SMALL | dict(solver=Adam())), {"solver__beta_1": [0.0, 0.9, 0.99]}, cv=2)
    search.fit(X, targets(Estimator))
    params = []
    for beta_1 in (0.0, 0.9, 0.99):
        model = clone(search.estimator).set_params(solver__beta_1=beta_1).fit(X, targets(Estimator))
        assert_same_model(model, fitted(Estimator, beta_1=beta_1))
        params.append(model.network_.params)
    assert not any(np.array_equal(params[i], params[i - 1]) for i in range(3))
    assert search.estimator.solver == Adam()  # the candidates are copies
    assert search.best_estimator_.solver == Adam(**{"beta_1": search.best_params_["solver__beta_1"]})


def test_grid_search_over_objects():
    grid = {"solver": [SGD(), SGD(momentum=0.0), Adam()], "learning_rate": [Constant(), Adaptive()]}
    search = GridSearchCV(MLPRegressor(**SMALL), grid, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 6
    assert len(set(search.cv_results_["mean_test_score"])) > 2


def test_get_params():
    model = MLPRegressor(Poisson(), solver=SGD(0.5), learning_rate=InverseScaling(0.3))
    params = model.get_params()
    assert (params["solver__momentum"], params["learning_rate__power_t"]) == (0.5, 0.3)
    assert params["solver"] is model.solver
    assert not any("__" in name for name in model.get_params(deep=False))


def test_set_params_of_a_name():
    model = MLPRegressor()
    message = "Invalid parameter 'solver__beta_1' for estimator MLPRegressor: solver='adam' is a name, .* object first"
    with pytest.raises(ValueError, match=message):
        model.set_params(solver__beta_1=0.5)
    model.set_params(solver__beta_1=0.5, solver=Adam())
    assert model.solver == Adam(beta_1=0.5)
    with pytest.raises(ValueError, match="Invalid parameter 'momentum' for estimator Adam"):
        model.set_params(solver__momentum=0.5)
    with pytest.raises(ValueError, match="Invalid parameter 'solvers' for estimator MLPRegressor"):
        model.set_params(solvers__beta_1=0.5)


def test_nested_parameters_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**SMALL, solver=SGD()))
    search = GridSearchCV(pipeline, {"mlpregressor__solver__momentum": [0.1, 0.8]}, cv=2).fit(X, Y)
    assert search.best_estimator_[-1].solver.momentum == search.best_params_["mlpregressor__solver__momentum"]
    assert "SGD(momentum=" in search.best_estimator_._repr_html_()


# Copies


def test_repr():
    model = MLPClassifier(activation=Tanh(), solver=Adam(beta_1=0.8))
    assert repr(model) == "MLPClassifier(activation=Tanh(), solver=Adam(beta_1=0.8))"


@both_estimators
@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_do_not_share_objects(Estimator, way):
    model = Estimator(**SMALL | dict(solver=Adam(beta_1=0.5), learning_rate=Adaptive(), activation=Relu()))
    duplicate = way(model)
    assert duplicate.solver == model.solver
    assert duplicate.solver is not model.solver
    duplicate.set_params(solver__beta_1=0.1)
    assert model.solver == Adam(beta_1=0.5)
    assert_same_model(way(model.fit(X, targets(Estimator))).fit(X, targets(Estimator)), model)


def test_a_pickle_of_a_fitted_model_predicts_the_same():
    model = fitted(MLPRegressor, solver=SGD(), loss=Poisson(), activation=Tanh(), output_activation=Exp())
    assert_same_model(pickle.loads(pickle.dumps(model)), model)


# Going on


@both_estimators
def test_partial_fit_with_objects(Estimator):
    y = targets(Estimator)
    models = [Estimator(**SMALL | dict(solver=solver)) for solver in ("sgd", SGD(), SGD())]
    for _ in range(3):
        for model in models:
            model.partial_fit(X, y, **{} if Estimator is MLPRegressor else {"classes": np.unique(LABELS)})
        models[2] = pickle.loads(pickle.dumps(models[2]))
    assert_same_model(models[0], models[1])
    assert_same_model(models[0], models[2])
    assert models[1]._optimizer.n_steps == 12


def test_a_new_solver_begins_anew():
    model = MLPRegressor(**SMALL, solver=SGD()).partial_fit(X, Y)
    model.set_params(solver=Adam()).partial_fit(X, Y)
    assert (model._optimizer.name, model._optimizer.n_steps) == ("adam", 4)


def test_warm_start_with_objects():
    models = [MLPRegressor(**SMALL, warm_start=True, solver=solver) for solver in ("adam", Adam())]
    for _ in range(2):
        for model in models:
            model.fit(X, Y)
    assert_same_model(*models)


@pytest.mark.parametrize(("solver", "has_it"), [(SGD(), True), (Adam(), True), ("lbfgs", False), ("foo", False)])
def test_who_has_partial_fit(solver, has_it):
    assert hasattr(MLPRegressor(solver=solver), "partial_fit") is has_it


def test_set_params_does_not_change_a_fitted_model():
    model = fitted(MLPRegressor, solver=SGD(), loss=Poisson(), learning_rate=InverseScaling())
    before = model.predict(X)
    constants = model._optimizer.optimizer.constants
    model.solver.set_params(momentum=0.1)
    model.set_params(learning_rate__power_t=3.0)
    assert model._optimizer.optimizer.constants == constants
    assert_array_equal(model.predict(X), before)
    model.set_params(solver__momentum="much")
    with pytest.raises(InvalidParameterError, match="The 'momentum' parameter of SGD must be a float in the range"):
        model.fit(X, Y)
    assert_array_equal(model.predict(X), before)


# What is neither


@both_estimators
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("solver", Adam),
        ("solver", Optimizer()),
        ("solver", Relu()),
        ("solver", ["adam"]),
        ("solver", "newton"),
        ("learning_rate", Adaptive),
        ("learning_rate", Schedule()),
        ("learning_rate", 0.1),
        ("learning_rate", SGD()),
        ("activation", Tanh),
        ("activation", Softmax()),
        ("activation", np.tanh),
        ("output_activation", Adam()),
        ("output_activation", "auto "),
        ("loss", "mse"),
    ],
)
def test_neither_a_name_nor_an_object(Estimator, name, wrong):
    message = (
        rf"The '{name}' parameter of {Estimator.__name__} must be a str among \{{.*\}} or an object of fastbp\.\w+ "
    )
    with pytest.raises(
        InvalidParameterError,
        match=message + r"with one of these names( or a function| or an array-like| or a callable)?\. Got",
    ):
        Estimator(**{name: wrong}).fit(X, targets(Estimator))


@pytest.mark.parametrize(
    ("Estimator", "wrong"),
    [
        (MLPClassifier, SquaredError()),
        (MLPClassifier, BinaryLogLoss()),
        (MLPRegressor, LogLoss()),
        (MLPRegressor, Loss()),
        (MLPRegressor, Adam()),
    ],
)
def test_no_loss_of_the_estimator(Estimator, wrong):
    with pytest.raises(InvalidParameterError, match=r"The 'loss' parameter of .* or a callable\. Got"):
        Estimator(loss=wrong).fit(X, targets(Estimator))


@both_estimators
def test_the_class_of_a_loss_is_no_loss(Estimator):
    with pytest.raises(ValueError, match=r"loss must be one of .*; got <class 'fastbp\.losses\..*SquaredError'>"):
        Estimator(loss=SquaredError).fit(X, targets(Estimator))


@pytest.mark.parametrize("output", [Logistic(), "logistic"])
def test_an_output_that_does_not_belong_to_the_targets(output):
    with pytest.raises(ValueError, match="output_activation must be 'auto' or 'softmax' for multiclass targets, got"):
        MLPClassifier(output_activation=output).fit(X, LABELS)


def test_an_output_that_does_not_belong_to_the_loss():
    with pytest.raises(ValueError, match=r"output_activation must be positive for loss='poisson'.*; got 'tanh'"):
        MLPRegressor(Poisson(), output_activation=Tanh()).fit(X, Y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(solver=Adam(beta_1=2)), "The 'beta_1' parameter of Adam must be a float in the range"),
        (dict(solver=SGD(nesterovs_momentum=1.5)), "The 'nesterovs_momentum' parameter of SGD must be"),
        (dict(learning_rate=InverseScaling(-1)), "The 'power_t' parameter of InverseScaling must be"),
    ],
)
def test_a_bad_value_in_an_object(params, message):
    for train in (MLPRegressor(**params).fit, MLPRegressor(**params).partial_fit):
        with pytest.raises(InvalidParameterError, match=message):
            train(X, Y)


# Network


def test_a_network_of_objects():
    network = Network([3, 5, 4, 2], [Tanh(), "relu"], Softmax(), LogLoss(), random_state=0)
    named = Network([3, 5, 4, 2], ["tanh", "relu"], "softmax", "log_loss", random_state=0)
    assert network.activations == named.activations == ("tanh", "relu", "softmax")
    labels = np.arange(60) % 2
    for ours, theirs in zip(network.loss_and_gradient(X, labels), named.loss_and_gradient(X, labels), strict=True):
        assert_array_equal(ours, theirs)
    assert_array_equal(
        Network([3, 5, 1], Logistic(), random_state=0).params, Network([3, 5, 1], "logistic", random_state=0).params
    )


def test_a_network_keeps_a_copy_of_the_loss():
    loss = Poisson()
    network = Network([3, 1], output_activation="exp", loss=loss)
    assert network.loss == loss
    assert network.loss is not loss
    assert pickle.loads(pickle.dumps(network)).loss == network.copy().loss == network.with_loss(loss).loss == loss


@pytest.mark.parametrize("wrong", [3, None, Tanh, [Tanh], ["tanh", 3]])
def test_no_activation_of_a_network(wrong):
    with pytest.raises(ValueError, match="activation must be one"):
        Network([3, 2, 1], wrong)


# The description of the parameters


@both_estimators
def test_the_signature_and_the_constraints_follow_from_the_fields(Estimator):
    described = {f.name: f for f in fields(Estimator)}
    signature = inspect.signature(Estimator)
    assert signature.parameters.keys() == described.keys() == Estimator._parameter_constraints.keys()
    for name, parameter in signature.parameters.items():
        assert parameter.default == described[name].default
        assert f"\n{name} : " in Estimator.__doc__
        assert described[name].metadata["doc"].splitlines()[0] in Estimator.__doc__


def test_what_is_positional():
    def positional(Estimator):
        parameters = inspect.signature(Estimator).parameters.values()
        return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert positional(MLPClassifier) == ["hidden_layer_sizes", "activation"]
    assert positional(MLPRegressor) == ["loss", "hidden_layer_sizes", "activation"]


@both_estimators
@pytest.mark.parametrize("cls", [SGD, Adam, InverseScaling])
def test_defaults_and_constraints_are_those_of_the_objects(Estimator, cls):
    parameters = {f.name: f for f in fields(Estimator)}
    for field in fields(cls):
        assert parameters[field.name].default == field.default
        assert parameters[field.name].metadata["constraint"] is field.metadata["constraint"]


def test_the_name_of_an_optimizer_without_parameters_of_the_estimator_stands_for_its_defaults():
    class Other(Adam):
        name = "other"

    estimator = MLPRegressor(beta_1=0.1)
    assert from_name(Adam, estimator) == Adam(beta_1=0.1)
    assert from_name(Other, estimator) == Other()


def test_names_in_the_docstring():
    assert all(repr(name) in MLPRegressor.__doc__ for name in ACTIVATIONS if name != "softmax")
