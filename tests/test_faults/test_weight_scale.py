"""Sample weights outside the range that arithmetic can handle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import MLPRegressor, Network
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

UNBEARABLE = [
    (np.float64, np.nan),
    (np.float64, np.inf),
    (np.float64, 1e-310),
    (np.float64, 1e307),
    (np.float32, 1e-45),
    (np.float32, 1e45),
    (np.float32, 1e-39),
]


@pytest.mark.fault(52)
@both_estimators
@pytest.mark.parametrize(("dtype", "value"), UNBEARABLE)
@pytest.mark.parametrize("scalar", [True, False])
def test_weights_out_of_range_are_refused(Estimator, dtype, value, scalar):
    X, y = make_data()
    X, y = X.astype(dtype), (y > 0).astype(int)
    weight = value if scalar else np.full(len(X), value)
    model = Estimator(**SMALL).fit(X, y)
    before = output(model, X)
    for call in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="sample_weight"):
            call(X, y, sample_weight=weight)
    assert_allclose(output(model, X), before, rtol=0, atol=0)


@pytest.mark.fault(52)
@pytest.mark.parametrize(("dtype", "value"), UNBEARABLE)
def test_a_network_refuses_them_too(dtype, value):
    X, y = make_data()
    network = Network([6, 4, 1], dtype=dtype, random_state=0)
    with pytest.raises(ValueError, match="sample_weight"):
        network.loss_and_gradient(X, y, np.full(len(X), value))


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float64, 1e-270), (np.float64, 1e270), (np.float32, 1e-20), (np.float32, 1e20)]
)
def test_what_is_accepted_trains_like_weights_around_one(dtype, scale):
    # without a penalty, a factor of all weights changes nothing
    X, y = make_data()
    X = X.astype(dtype)
    weight = np.linspace(0.5, 1.5, len(X))
    params = SMALL | dict(alpha=0.0, solver="sgd")
    model = MLPRegressor(**params).fit(X, y, weight)
    scaled = MLPRegressor(**params).fit(X, y, weight * scale)
    for W, expected in zip(scaled.coefs_, model.coefs_, strict=True):
        assert_allclose(W, expected, rtol=1e-4 if dtype == np.float32 else 1e-9)


@pytest.mark.fault(4)
@both_estimators
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_one_weight_that_is_not_finite(Estimator, solver):
    X, y = make_data()
    weight = np.ones(len(X))
    weight[3] = np.nan
    with pytest.raises(ValueError, match="sample_weight"):
        Estimator(**SMALL | dict(solver=solver)).fit(X, y, weight)
