"""random_state: accepted types, and generators that continue."""

import pickle
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from fastbp import MLPClassifier
from fastbp.kernels import shuffling
from fastbp.kernels.shuffling import uniform
from fault_cases import SMALL, both_estimators, make_data

ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])


@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_a_generator_as_random_state(Estimator, bits):
    X, y = make_data(200)
    params = SMALL | dict(early_stopping=True, max_iter=3, n_iter_no_change=9)
    generator, twin = (np.random.Generator(bits(5)) for _ in range(2))
    model = Estimator(**params | dict(random_state=generator)).fit(X, y)
    legacy = Estimator(**params | dict(random_state=np.random.RandomState(twin.bit_generator))).fit(X, y)
    assert_array_equal(weights(model), weights(legacy))
    assert model.validation_scores_ == legacy.validation_scores_
    assert generator.random() == twin.random()  # it continues after the draws of the fit
    assert_array_equal(weights(clone(legacy).fit(X, y)), weights(clone(model).fit(X, y)))
    model, legacy = pickle.loads(pickle.dumps([model, legacy]))
    assert_array_equal(weights(model.fit(X, y)), weights(legacy.fit(X, y)))


@both_estimators
@ignore_max_iter
def test_partial_fit_goes_on_with_a_generator(Estimator):
    X, y = make_data()
    first = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    generator = np.random.default_rng(0)
    model = Estimator(**SMALL | dict(random_state=generator))
    legacy = Estimator(**SMALL | dict(random_state=np.random.RandomState(np.random.PCG64(0))))
    for _ in range(3):
        assert_array_equal(weights(model.partial_fit(X, y, **first)), weights(legacy.partial_fit(X, y, **first)))


@both_estimators
@pytest.mark.parametrize("random_state", ["0", -1, 0.5, np.random.PCG64(0)])
def test_what_is_no_random_state_is_refused(Estimator, random_state):
    with pytest.raises(ValueError, match=r"(?s)'random_state' parameter of MLP.*RandomState.* or None.*Generator"):
        Estimator(**SMALL | dict(random_state=random_state)).fit(*make_data())


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
def test_uniform_numbers_are_numpys(bits):
    ours, numpys = (np.random.RandomState(bits(3)) for _ in range(2))
    for low, high, shape in ((-1.5, 2.5, (7, 3)), (0.0, 1e-3, 11), (-1.0, 1.0, (0, 4)), (2.0, 2.0, (2,))):
        assert_array_equal(uniform(ours, low, high, shape), numpys.uniform(low, high, shape))
    assert ours.randint(2**31) == numpys.randint(2**31)


def test_a_generator_that_another_thread_holds(monkeypatch):
    ours, numpys = np.random.RandomState(3), np.random.RandomState(3)
    lock, held, waiting = ours._bit_generator.lock, threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            waiting.wait(60)

    monkeypatch.setattr(shuffling, "check_signals", waiting.set)  # called while the lock is waited for
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    assert_array_equal(uniform(ours, 0.0, 1.0, 5), numpys.uniform(0.0, 1.0, 5))
    assert waiting.is_set()
    holder.join()
    assert lock.acquire(False)  # given back
    lock.release()


def test_an_exception_while_a_generator_is_waited_for(monkeypatch):
    generator = np.random.RandomState(3)
    lock, held, done = generator._bit_generator.lock, threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait(60)

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(shuffling, "check_signals", interrupt)
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    with pytest.raises(KeyboardInterrupt):
        uniform(generator, 0.0, 1.0, 5)
    done.set()
    holder.join()
    assert_array_equal(uniform(generator, 0.0, 1.0, 5), np.random.RandomState(3).uniform(0.0, 1.0, 5))
