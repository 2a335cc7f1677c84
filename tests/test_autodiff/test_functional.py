"""Gradients of functions and losses from formulas; `functional.py`."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.autodiff as ad
import reference
from autodiff_cases import normal
from fastbp.autodiff import FormulaLoss, Variable, constant, grad, value_and_grad


def test_grad():
    assert grad(lambda x: x**3)(2.0) == 12
    value, (da, db) = value_and_grad(lambda a, b, *, k: (k * a * b).sum())(np.ones(2), [2, 3], k=np.array([1, 10]))
    assert value == 32
    assert_array_equal(da, [2, 30])
    assert_array_equal(db, [1, 10])
    value, (da, db) = value_and_grad(lambda a, b: a.sum())(np.ones(2, np.float32), np.ones(3))
    assert value.dtype == da.dtype == np.float32
    assert_array_equal(db, np.zeros(3))


def test_grad_keeps_the_functions_name():
    def f(x):
        """Documentation."""
        return x

    assert (grad(f).__name__, grad(f).__doc__, value_and_grad(f).__name__) == ("f", "Documentation.", "f")


def test_grad_errors():
    with pytest.raises(TypeError, match=r"float must return a Variable.*got 2\.0"):
        grad(float)(2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        grad(lambda x: x * 2)([1, 2])
    with pytest.raises(ValueError, match="it was not computed from a Variable"):
        grad(lambda x: constant(1.0))(2.0)


# Losses from formulas


def log_cosh(y_true, raw_prediction):
    error = raw_prediction - y_true
    return error + ad.softplus(-2 * error) - np.log(2)


def pinball(y_true, raw_prediction):
    error = y_true - raw_prediction
    return ad.maximum(0.9 * error, -0.1 * error).sum(axis=1)


def multiclass(y_true, raw_prediction):
    return ad.logsumexp(raw_prediction, axis=1) - (y_true * raw_prediction).sum(axis=1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", [log_cosh, pinball, multiclass])
def test_formula_loss(formula, weighted):
    y, z = normal(5, 3), normal(5, 3)
    weight = np.array([1, 0, 2, 0.5, 3]) if weighted else None
    loss, gradient = FormulaLoss(formula)(y, z, weight)
    assert loss.shape == (5,)
    factor = np.ones(5) if weight is None else weight
    for i in range(5):

        def row(prediction, i=i):
            value = formula(y[i : i + 1], Variable(prediction[None])).value
            return factor[i] * float(value.sum())

        assert_allclose(loss[i], row(z[i]), rtol=1e-13)
        # central differences: see check_gradients
        assert_allclose(gradient[i], reference.finite_difference(row, z[i]), rtol=1e-7, atol=1e-8)


def test_formula_loss_in_float32():
    y, z = (normal(5, 3).astype(np.float32) for _ in range(2))
    loss, gradient = FormulaLoss(log_cosh)(y, z, np.full(5, 2.0))
    assert loss.dtype == gradient.dtype == np.float32
    # float32's 1e-7, and log(2) taken off softplus(0)
    assert_allclose(gradient, 2 * np.tanh(z - y), rtol=1e-5, atol=1e-6)


def test_formula_loss_is_pickled_by_name():
    loss = pickle.loads(pickle.dumps(FormulaLoss(log_cosh)))
    assert loss.formula is log_cosh
    assert repr(loss) == "FormulaLoss(log_cosh)"
    assert copy.deepcopy(loss)(np.zeros((1, 1)), np.zeros((1, 1)))[0].shape == (1,)


def test_formula_loss_errors():
    y = z = np.ones((3, 2))
    with pytest.raises(TypeError, match="formula must be a function"):
        FormulaLoss("log_cosh")
    with pytest.raises(ValueError, match=r"one loss for each row, of shape \(3,\) or \(3, 2\), got \(\);.*leave"):
        FormulaLoss(lambda y, z: ((y - z) ** 2).mean())(y, z)
    for formula in (lambda y, z: (y - z.value) ** 2, lambda y, z: ad.exp(y)):
        with pytest.raises(TypeError, match="<lambda> must return a Variable computed from raw_prediction"):
            FormulaLoss(formula)(y, z)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(3,\), one for each row, got \(2,\)"):
        FormulaLoss(log_cosh)(y, z, np.ones(2))
