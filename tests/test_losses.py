"""The losses as objects: domains, links, names and functions; `losses.py`. What functions do in training is in
``test_losses_function.py``."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

import loss_functions
import reference
from fastbp import Network
from fastbp.activations import ACTIVATIONS
from fastbp.kernels import dispatch
from fastbp.losses import (
    LOSSES,
    BinaryLogLoss,
    FunctionLoss,
    LogLoss,
    Loss,
    Poisson,
    SquaredError,
    as_loss,
    as_text,
    resolve,
)

every_class = pytest.mark.parametrize("cls", LOSSES.values())


def test_every_loss_of_the_kernels_has_a_class():
    assert LOSSES.keys() == dispatch.LOSSES.keys()
    assert all(cls.name == name for name, cls in LOSSES.items())


@every_class
def test_the_link_cancels(cls):
    # by its pre-activation the derivative of the loss is a - y
    loss, rng = cls(), np.random.default_rng(0)
    z, y = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(4), size=3)
    forward, backward = reference.ACTIVATIONS[loss.link]
    a = forward(z)
    delta = backward(z, a, reference.LOSSES[loss.name][1](y, a))
    np.testing.assert_allclose(delta, a - y, rtol=0, atol=1e-14)


@every_class
def test_the_link_is_an_output_that_the_loss_accepts(cls):
    assert cls().accepts_output(cls().link)


def test_outputs_that_a_loss_accepts():
    def accepted(loss):
        return {name for name in ACTIVATIONS if loss.accepts_output(name)}

    assert accepted(SquaredError()) == accepted(FunctionLoss(loss_functions.poisson)) == set(ACTIVATIONS)
    assert accepted(Poisson()) == {"exp", "softplus", "logistic", "softmax"}
    assert accepted(LogLoss()) == accepted(BinaryLogLoss()) == {"logistic", "softmax"}


def test_domains_in_words():
    assert [as_text(domain) for domain in (Poisson.domain, Poisson.mean_domain, LogLoss.domain)] == [
        ">= 0",
        "positive",
        "in [0, 1]",
    ]


def test_targets_of_the_squared_error():
    SquaredError().check_targets(np.array([-1e300, 0.0, 1e300]))


def test_targets_of_poisson():
    Poisson().check_targets(np.array([0, 3, 1e300]))
    with pytest.raises(ValueError, match=r"loss='poisson' requires y >= 0, got a smallest y of -0\.5"):
        Poisson().check_targets(np.array([[1.0], [-0.5]]))


@pytest.mark.parametrize(("value", "what"), [(-0.25, "smallest"), (1.5, "largest")])
def test_targets_of_a_log_loss(value, what):
    BinaryLogLoss().check_targets(np.array([0, 0.3, 1]))
    with pytest.raises(ValueError, match=rf"loss='binary_log_loss' requires y in \[0, 1\], got a {what} y of {value}"):
        BinaryLogLoss().check_targets(np.array([0.5, value]))


@every_class
def test_target_width(cls):
    assert cls().target_width(3) == 3


def test_recorded_scale():
    # scikit-learn's convention: the squared error is recorded as the mean over the outputs
    assert SquaredError().recorded_scale(4) == 0.25
    assert LogLoss().recorded_scale(4) == Poisson().recorded_scale(4) == 1.0


@every_class
@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_are_equal(cls, way):
    assert way(cls()) == cls()
    assert repr(way(cls())) == f"{cls.__name__}()"


@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_of_a_function_loss_are_equal(way):
    loss = FunctionLoss(loss_functions.poisson)
    assert way(loss) == loss != FunctionLoss(loss_functions.squared_error)
    assert way(loss).get_params() == {"function": loss_functions.poisson}


@every_class
def test_as_loss(cls):
    assert as_loss(cls()) == as_loss(cls.name) == cls()


def test_a_function_becomes_a_loss():
    loss = FunctionLoss(loss_functions.poisson)
    assert as_loss(loss_functions.poisson) == as_loss(loss) == loss
    assert as_loss(loss) is not loss


@pytest.mark.parametrize("wrong", ["hinge", None, 3, SquaredError, Loss(), ["log_loss"]], ids=repr)
def test_no_loss(wrong):
    message = "loss must be one of binary_log_loss, log_loss, poisson, squared_error; got "
    with pytest.raises(ValueError, match=message):
        as_loss(wrong)
    with pytest.raises(ValueError, match=message):
        Network([2, 1], loss=wrong)


@pytest.mark.parametrize("log_loss", ["log_loss", LogLoss()])
def test_log_loss_is_the_binary_one_for_an_output_other_than_softmax(log_loss):
    assert resolve(log_loss, "softmax") == LogLoss()
    assert resolve(log_loss, "logistic") == resolve(log_loss, "identity") == BinaryLogLoss()


@pytest.mark.parametrize("loss", ["binary_log_loss", "squared_error", "poisson", loss_functions.squared_error])
def test_other_losses_do_not_depend_on_the_output(loss):
    assert resolve(loss, "softmax") == resolve(loss, "tanh") == as_loss(loss)
