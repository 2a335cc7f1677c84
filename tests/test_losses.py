"""The losses as objects: domains, links, names and functions; `losses.py`. What functions do in training is in
``test_losses_function.py``."""

import copy
import pickle
from dataclasses import fields

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
    BinaryFocal,
    BinaryLogLoss,
    Focal,
    FunctionLoss,
    Gamma,
    Gaussian,
    Huber,
    LogLoss,
    Loss,
    MultiOutputLogLoss,
    Poisson,
    Quantile,
    SquaredError,
    Tweedie,
    as_loss,
    resolve,
)
from fastbp.losses.base import as_text

every_class = pytest.mark.parametrize("cls", LOSSES.values())


def test_every_loss_of_the_kernels_has_a_class():
    objects = [*(cls() for cls in LOSSES.values()), Quantile([0.1, 0.9])]
    objects += [LogLoss(label_smoothing=0.1), BinaryLogLoss(label_smoothing=0.1)]
    assert {loss.kernel for loss in objects} == dispatch.LOSSES.keys()
    assert all(cls.name == name for name, cls in LOSSES.items())
    for loss in objects:
        names = dispatch.LOSS_CONSTANTS[loss.kernel]
        if loss in (LogLoss(), BinaryLogLoss()):  # without smoothing, which has kernels of its own
            assert names == loss.constants == ()
            continue
        assert names in (("...",), tuple(field.name for field in fields(loss)))


@pytest.mark.parametrize("cls", [SquaredError, LogLoss, BinaryLogLoss, Poisson])
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
    assert accepted(Quantile([0.1, 0.9])) == accepted(Gaussian()) == {"identity"}
    assert accepted(Poisson()) == accepted(Gamma()) == accepted(Tweedie()) == {"exp", "softplus", "logistic", "softmax"}
    assert accepted(LogLoss()) == accepted(BinaryLogLoss()) == accepted(Focal()) == {"logistic", "softmax"}
    assert accepted(MultiOutputLogLoss()) == {"identity"}


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


@pytest.mark.parametrize("cls", [cls for cls in LOSSES.values() if cls is not MultiOutputLogLoss])
def test_target_width(cls):
    loss = cls()
    assert loss.target_width(4) == (2 if cls is Gaussian else 4)
    assert loss.n_units(loss.target_width(4)) == 4


def test_widths_of_several_quantiles():
    loss = Quantile([0.1, 0.5, 0.9])
    assert (loss.target_width(3), loss.n_units(1)) == (1, 3)
    with pytest.raises(ValueError, match="a loss with 3 quantiles needs a network with as many outputs, got 2"):
        loss.target_width(2)
    with pytest.raises(ValueError, match="several quantiles need a y of one column, got 2 columns"):
        loss.n_units(2)


def test_an_odd_number_of_outputs_of_the_gaussian():
    with pytest.raises(ValueError, match="loss='gaussian' needs two outputs of the network for each target"):
        Network([2, 3], loss="gaussian")


def test_predictions():
    output = np.random.default_rng(0).normal(size=(5, 4))
    for cls in LOSSES.values():
        if cls not in (Gaussian, MultiOutputLogLoss):
            assert cls().predictions(output) is output
    np.testing.assert_array_equal(Gaussian().predictions(output), output[:, :2])
    variances = np.exp(output[:, 2:]) + 0.5
    np.testing.assert_allclose(Gaussian(epsilon=0.5).deviations(output) ** 2, variances, rtol=1e-14)
    # a variance of e^100 is too large for float32, its root is not
    deviations = Gaussian().deviations(np.array([[0, 100]], np.float32))
    assert deviations.dtype == np.float32
    np.testing.assert_allclose(deviations, np.exp(50.0), rtol=1e-5)
    columns = MultiOutputLogLoss(n_classes=[3, 1]).predictions(output)
    np.testing.assert_allclose(columns, np.hstack([reference.softmax(output[:, :3]), np.ones((5, 1))]), rtol=1e-14)
    quantiles = Quantile([0.1, 0.2, 0.7, 0.9])
    np.testing.assert_allclose(quantiles.predictions(output), reference.quantiles_of(output), rtol=1e-14)
    np.testing.assert_array_equal(quantiles.point_predictions(output), output[:, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles_never_cross(dtype):
    # large numbers, to which small steps are added: rounding must not take them below
    output = (np.random.default_rng(0).normal(size=(500, 9)) * 1e4).astype(dtype)
    quantiles = Quantile(np.linspace(0.1, 0.9, 9).tolist()).predictions(output)
    assert quantiles.dtype == dtype
    assert (np.diff(quantiles, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LogLoss(label_smoothing=1.0), "The 'label_smoothing' parameter of LogLoss must be a float in the range"),
        (Focal(gamma=-1), "The 'gamma' parameter of Focal must be a float in the range"),
        (MultiOutputLogLoss(n_classes=[2, 0]), r"n_classes must hold integers >= 1, got \[2, 0\]"),
        (
            MultiOutputLogLoss(n_classes=[2] * 100),
            "n_classes must have 1 to 99 .*, got 100; for more columns, fit several models",
        ),
        (MultiOutputLogLoss(n_classes=[2, 3]), "needs a network with 5 outputs, one for each class, got 2"),
        (Huber(delta=0), "The 'delta' parameter of Huber must be a float in the range"),
        (Tweedie(power=2), "The 'power' parameter of Tweedie must be a float in the range"),
        (Gaussian(epsilon=0.0), "The 'epsilon' parameter of Gaussian must be a float in the range"),
        (Quantile(1.0), "The 'quantile' parameter of Quantile must be a float in the range"),
        (Quantile(np.array([0.1, 0.9])), "The 'quantile' parameter of Quantile must be .* 'list' or .* 'tuple'"),
        (Quantile([0.5]), "quantile must have 2 to 100 entries where it is a list, got 1"),
        (Quantile([0.9, 0.1]), r"quantile must hold numbers between 0 and 1 in increasing order, got \[0.9, 0.1\]"),
        (Quantile([0.1, 0.1]), "in increasing order"),
        (Quantile([0.1, 1.0]), "between 0 and 1"),
        (Quantile([0.1, "0.9"]), "quantile must hold numbers"),
    ],
    ids=repr,
)
def test_bad_constants(loss, message):
    with pytest.raises(ValueError, match=message):
        as_loss(loss).target_width(2)
    with pytest.raises(ValueError, match=message):
        Network([2, 2], loss=loss)


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
    message = f"loss must be one of {', '.join(sorted(LOSSES))}; got "
    with pytest.raises(ValueError, match=message):
        as_loss(wrong)
    with pytest.raises(ValueError, match=message):
        Network([2, 1], loss=wrong)


@pytest.mark.parametrize("log_loss", ["log_loss", LogLoss()])
def test_log_loss_is_the_binary_one_for_an_output_other_than_softmax(log_loss):
    assert resolve(log_loss, "softmax") == LogLoss()
    assert resolve(log_loss, "logistic") == resolve(log_loss, "identity") == BinaryLogLoss()


@pytest.mark.parametrize(
    ("loss", "binary"),
    [
        (LogLoss(label_smoothing=0.2), BinaryLogLoss(label_smoothing=0.2)),
        ("focal", BinaryFocal()),
        (Focal(gamma=1.0), BinaryFocal(gamma=1.0)),
    ],
)
def test_binary_losses_keep_the_parameters(loss, binary):
    assert resolve(loss, "softmax") == as_loss(loss)
    assert resolve(loss, "logistic") == binary


@pytest.mark.parametrize("loss", ["binary_log_loss", "squared_error", "poisson", loss_functions.squared_error])
def test_other_losses_do_not_depend_on_the_output(loss):
    assert resolve(loss, "softmax") == resolve(loss, "tanh") == as_loss(loss)
