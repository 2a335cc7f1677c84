"""Values that only random tests try: each is refused with a clear error, or works, without a warning of NumPy's."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError

from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.layers import Dense, Scale
from fastbp.optimizers import SGD, Adam
from fastbp.schedules import InverseScaling
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_data()
LARGEST = np.where(np.arange(len(X)) % 2, 1.7e308, -1.7e308)


@both_estimators
@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int16])
def test_small_integers_of_numpy(Estimator, integer):
    params = SMALL | dict(hidden_layer_sizes=(30, 30), batch_size=16)
    small = {name: integer(params[name]) for name in ("batch_size", "max_iter")} | {"n_threads": integer(1)}
    model = Estimator(**params | small).fit(X, Y)
    assert_array_equal(model.network_.params, Estimator(**params).fit(X, Y).network_.params)


def test_warm_up_shorter_than_any_step():
    model = MLPRegressor(**SMALL, warmup=5e-324).fit(X, Y)
    assert_array_equal(model.coefs_[0], MLPRegressor(**SMALL).fit(X, Y).coefs_[0])


@both_estimators
def test_infinities_of_both_signs(Estimator):
    with pytest.raises(ValueError, match="infinity"):
        Estimator(**SMALL).fit(np.where(X > 0, np.inf, -np.inf), Y)


def test_large_numbers_are_no_labels():
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier(**SMALL).fit(X, np.linspace(-1e300, 1e300, len(X)))


@both_estimators
@pytest.mark.parametrize("params", [{"alpha": Fraction(1, 2)}, {"solver": Adam(beta_1=Fraction(1, 2))}])
def test_numbers_that_numpy_does_not_know(Estimator, params):
    with pytest.raises(InvalidParameterError, match=r"(alpha|beta_1)' parameter .* Got Fraction\(1, 2\)"):
        Estimator(**SMALL, **params).fit(X, Y)


@pytest.mark.parametrize("classes", [[0, np.nan], [0, None], [[0, 1], [0, None]]])
def test_classes_that_are_no_labels(classes):
    with pytest.raises(ValueError, match=r"classes must hold labels, got (NaN|None)"):
        MLPClassifier(**SMALL).partial_fit(X, Y, classes=classes)


@pytest.mark.parametrize("y", [Y, np.eye(3, dtype=int)[Y]], ids=["labels", "indicators"])
@pytest.mark.parametrize("classes", [[[0]], [[0, 1], [2]]])
def test_lists_of_classes_for_one_column(y, classes):
    model = MLPClassifier(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match=r"classes must have shape \(n_classes,\)"):
        model.partial_fit(X, y, classes=classes)
    if y.ndim == 1:
        with pytest.raises(ValueError, match=r"classes must have shape \(n_classes,\)"):
            MLPClassifier(**SMALL).partial_fit(X, y, classes=classes)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_ragged_labels(method):
    ragged = [[0]] * 20 + [[0, 1]] * 30
    with pytest.raises(ValueError, match="y must be an array of labels, and has rows of different lengths"):
        getattr(MLPClassifier(**SMALL), method)(X, ragged)


def test_sparse_labels_that_are_no_indicators():
    with pytest.raises(ValueError, match="y must hold zeros and ones where it is sparse, got 3"):
        MLPClassifier(**SMALL).fit(X, sp.csr_array(3 * np.eye(len(X), 3, dtype=int)))


@both_estimators
@pytest.mark.parametrize("params", [{"frozen_layers": 0.5}, {"alpha": -1}, {"n_iter_no_change": "x"}])
def test_parameters_set_between_calls_of_partial_fit(Estimator, params):
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    model = Estimator(**SMALL).partial_fit(X, Y, **classes).partial_fit(X, Y)
    before = output(model, X)
    kept = {name: getattr(model, name) for name in params}
    for _ in range(2):
        with pytest.raises(InvalidParameterError, match=next(iter(params))):
            model.set_params(**params).partial_fit(X, Y)
    assert_array_equal(output(model, X), before)
    model.set_params(**kept).partial_fit(X, Y)


@both_estimators
def test_a_parameter_of_an_object_set_between_calls_of_partial_fit(Estimator):
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    model = Estimator(**SMALL | dict(solver=SGD(), learning_rate=InverseScaling())).partial_fit(X, Y, **classes)
    before = output(model, X)
    for name, wrong in (("solver__momentum", 2.0), ("learning_rate__power_t", -1)):
        kept = model.get_params()[name]
        with pytest.raises(InvalidParameterError, match=name.partition("__")[2]):
            model.set_params(**{name: wrong}).partial_fit(X, Y)
        model.set_params(**{name: kept})
    assert_array_equal(output(model, X), before)
    model.partial_fit(X, Y)


@both_estimators
def test_integers_beyond_64_bits(Estimator):
    model = Estimator(**SMALL, alpha=10**30, solver="sgd", max_norm=10**30, learning_rate_init=1e-40).fit(X, Y)
    assert np.isfinite(model.network_.params).all()


def test_classes_and_weights_of_a_wrong_type():
    with pytest.raises(ValueError, match="classes must be an array of labels, got 'ab'"):
        MLPClassifier(**SMALL).partial_fit(X, np.eye(4)[Y] / 2 + 0.125, classes="ab")
    with pytest.raises(ValueError, match=r"class_weight must hold dicts, .* got \[3, 2\]"):
        MLPClassifier(**SMALL, class_weight=[3, 2]).fit(X, np.column_stack([Y, 3 - Y]))


@both_estimators
@pytest.mark.parametrize("params", [{"frozen_layers": 1}, {"hidden_layer_sizes": 3}, {"activation": "relu"}])
def test_arrays_without_dimensions(Estimator, params):
    ((name, value),) = params.items()
    with pytest.raises(InvalidParameterError, match=f"'{name}' .* array without dimensions"):
        Estimator(**SMALL | {name: np.array(value)}).fit(X, Y)
    with pytest.raises(TypeError, match="frozen_layers must hold integers, got"):
        Estimator(**SMALL, frozen_layers=[[0], [0, 1]]).fit(X, Y)


@both_estimators
def test_data_frame_without_columns(Estimator):
    with pytest.raises(ValueError, match=r"X is a data frame with 0 feature\(s\)"):
        Estimator(**SMALL).fit(pd.DataFrame(index=range(len(X))), Y)


@both_estimators
@pytest.mark.parametrize("name", ["mixup_alpha", "input_dropout"])
def test_an_array_in_place_of_a_rate(Estimator, name):
    model = Estimator(**SMALL).fit(X, Y).set_params(**{name: np.array([])})
    model.score(X, Y)  # these parameters are for training
    with pytest.raises(InvalidParameterError, match=name):
        model.fit(X, Y)


def huge(fan_in, fan_out, random_state):
    return np.full((fan_in, fan_out), 1e200)


@pytest.mark.parametrize("params", [{"weight_init": huge}, {"layers": [Scale(1e200), Dense(3)]}])
def test_initial_values_too_large_for_the_dtype(params):
    with pytest.raises(ValueError, match=r"initial values of \w_1 in .* too large for float32"):
        MLPRegressor(**SMALL, **params, dtype="float32").fit(X, Y)


def test_score_of_what_are_no_targets():
    with pytest.raises(ValueError, match="y must hold labels, got None"):
        MLPClassifier(**SMALL).fit(X, Y).score(X, np.where(Y > 0, None, "a"))
    with pytest.raises(ValueError, match="y must hold labels, got datetime64"):
        MLPClassifier(**SMALL).fit(X, Y).score(X, np.zeros(len(X), "M8[s]"))
    with pytest.raises(ValueError, match="y must be an array of labels, got None"):
        MLPClassifier(**SMALL).fit(X, Y).score(X, None)
    columns = np.column_stack([Y, 3 - Y])
    with pytest.raises(ValueError, match="sample_weight contains infinity"):
        MLPClassifier(**SMALL).fit(X, columns).score(X, columns, np.full(len(X), np.inf))
    with pytest.raises(ValueError, match="y must hold labels of one type"):
        MLPClassifier(**SMALL).partial_fit(X, np.where(Y > 0, "a", np.array(1, object)), classes=["a", "b"])
    with pytest.raises(ValueError, match="at least one row"):
        MLPClassifier(**SMALL).fit(X, np.eye(4)[Y] / 2 + 0.125).score(X[:0], np.zeros((0, 4)))
    with pytest.raises(TypeError, match="y must hold numbers"):
        MLPRegressor(**SMALL).fit(X, Y).score(X, np.full(len(X), "a"))


def test_score_that_overflows():
    model = MLPRegressor(**SMALL).fit(X, Y)
    with pytest.warns(RuntimeWarning, match="squares of y or of the predictions are not finite in float64"):
        assert not np.isfinite(model.score(X, LARGEST))
    with_validation = MLPRegressor(**SMALL).fit(X, Y, X_val=X, y_val=LARGEST)
    assert np.isnan(with_validation.history_["validation_score"]).all()


def test_infinite_losses_of_rows_without_weight():
    weight = np.zeros(len(X))
    weight[:10] = 1
    y = np.where(weight > 0, Y, 1.7e308)
    model = MLPRegressor(**SMALL).fit(X, Y, X_val=X, y_val=y, sample_weight_val=weight)
    counted = MLPRegressor(**SMALL).fit(X, Y, X_val=X[:10], y_val=Y[:10])
    np.testing.assert_allclose(model.history_["validation_loss"], counted.history_["validation_loss"], rtol=1e-12)


def test_network_with_initial_values_too_large():
    with pytest.raises(ValueError, match=r"initial values of s_1 in Scale.* too large for float32"):
        Network(layers=[Scale(1e39), Dense(1)], n_features=2, dtype=np.float32)


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_text_as_weights_of_a_score(Estimator):
    model = Estimator(**SMALL).fit(X, Y)
    with pytest.raises(TypeError, match="sample_weight must hold numbers"):
        model.score(X, Y, np.full(len(X), "1.0"))


def test_warnings_of_a_users_initializer_are_shown():
    def overflows(fan_in, fan_out, rng):
        np.exp(np.array([1000.0]))
        return np.zeros((fan_in, fan_out))

    with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
        Network([4, 3, 1], initializer=overflows)
