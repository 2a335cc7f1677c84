"""What a callback sees of a run; `TrainingState` in `training/callbacks.py`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from callback_cases import SCORE, SMALL, TARGETS, WEIGHT, Look, N, X, ignore_max_iter, weights
from fastbp import MLPRegressor


def test_state_in_stochastic_training():
    look = Look(
        lambda state: dict(
            epoch=state.epoch,
            max_iter=state.max_iter,
            loss=state.loss,
            curve=list(state.loss_curve),
            rate=state.learning_rate,
            seen=state.rows_seen,
            score=state.validation_score,
            scores=state.validation_scores,
            params=state.network.params.copy(),
        )
    )
    model = MLPRegressor(**SMALL, solver="sgd", learning_rate="invscaling", callbacks=look)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, SCORE, WEIGHT)
    begin, *epochs, end = look.seen
    assert np.isnan(begin["loss"])
    assert (begin["curve"], begin["rate"], begin["seen"]) == ([], 0.001, 0)
    for number, seen in enumerate(epochs, 1):
        assert (seen["epoch"], seen["max_iter"], seen["seen"]) == (number, 6, number * N)
        assert seen["curve"] == model.loss_curve_[:number]
        assert seen["loss"] == model.loss_curve_[number - 1]
        assert_allclose(seen["rate"], 0.001 / (number * N + 1) ** 0.5, rtol=1e-14)
        assert seen["score"] is seen["scores"] is None
        # the weights after so many epochs
        shorter = MLPRegressor(**SMALL | dict(max_iter=number), solver="sgd", learning_rate="invscaling")
        with pytest.warns(ConvergenceWarning):
            assert_array_equal(seen["params"], weights(shorter.fit(X, SCORE, WEIGHT)))
    assert_array_equal(end["params"], weights(model))


@ignore_max_iter
def test_data_in_the_state():
    for Estimator, y in TARGETS.items():
        look = Look(lambda state: (state.X, state.targets, state.sample_weight, state.train_rows.copy(), state.network))
        model = Estimator(**SMALL, callbacks=look).fit(X, y, WEIGHT)
        given_X, targets, weight, _, network = look.seen[-1]
        assert_array_equal(given_X, X)
        assert_array_equal(weight, WEIGHT)
        # as the network's own methods take them
        assert np.isfinite(network.loss_and_gradient(given_X, targets, weight)[0])
        assert network is model.network_
        rows = [rows for _, _, _, rows, _ in look.seen]
        assert all(np.array_equal(np.sort(some), np.arange(N)) for some in rows)
        # shuffled anew for each epoch
        assert len({tuple(some) for some in rows[1:-1]}) == 6
    look = Look(lambda state: (state.train_rows, state.sample_weight))
    MLPRegressor(**SMALL, shuffle=False, callbacks=look).fit(X, SCORE)
    assert look.seen == [(None, None)] * 8


@ignore_max_iter
def test_state_with_early_stopping():
    look = Look(lambda state: (state.validation_score, list(state.validation_scores), len(state.train_rows)))
    model = MLPRegressor(**SMALL, early_stopping=True, validation_fraction=0.2, callbacks=look).fit(X, SCORE)
    assert look.seen[0] == (None, [], 40)
    for number, (score, scores, n_train) in enumerate(look.seen[1:-1], 1):
        assert scores == model.validation_scores_[:number]
        assert score == scores[-1]
        assert n_train == 40


@ignore_max_iter
def test_the_end_of_early_stopping_sees_the_best_weights():
    look = Look(lambda state: state.network.params.copy())
    params = SMALL | dict(early_stopping=True, learning_rate_init=0.1, max_iter=50, validation_fraction=0.2)
    scores = MLPRegressor(**params).fit(X, SCORE).validation_scores_
    # the first epoch that is not the best so far
    last = next(i for i, score in enumerate(scores) if score < max(scores[: i + 1])) + 1
    model = MLPRegressor(**params | dict(max_iter=last), callbacks=look).fit(X, SCORE)
    *_, best, before_end, end = look.seen
    assert_array_equal(end, best)
    assert_array_equal(end, weights(model))
    assert (end != before_end).any()


@ignore_max_iter
def test_state_in_lbfgs():
    look = Look(lambda state: (state.epoch, state.loss, state.network.params.copy(), state.learning_rate))
    model = MLPRegressor(**SMALL, solver="lbfgs", callbacks=look).fit(X, SCORE)
    begin, *iterations, end = look.seen
    assert np.isnan(begin[1])
    assert [seen[0] for seen in iterations] == [1, 2, 3, 4, 5, 6]
    losses = [seen[1] for seen in iterations]
    assert (np.diff(losses) < 0).all()
    assert losses[-1] == model.loss_
    assert all(seen[3] is None for seen in look.seen)
    # the iterate, and not the last point of its line search
    for _, loss, params, _ in iterations:
        network = model.network_.copy()
        network.params = params
        assert_allclose(network.loss_and_gradient(X, SCORE)[0], loss, rtol=1e-13)
    assert_array_equal(end[2], weights(model))
    assert not hasattr(model, "loss_curve_")


@ignore_max_iter
def test_the_learning_rate_is_that_of_the_coming_epoch():
    # no epoch but the first gains tol, and the rate falls after every second of the others
    look = Look(lambda state: state.learning_rate)
    params = SMALL | dict(solver="sgd", learning_rate="adaptive", tol=10.0, n_iter_no_change=1)
    MLPRegressor(**params, callbacks=look).fit(X, SCORE)
    assert_allclose(look.seen, np.array([1, 1, 1, 1 / 5, 1 / 5, 1 / 25, 1 / 25, 1 / 25]) / 1000)


@ignore_max_iter
def test_an_edit_of_the_parameters_counts():
    class Zero:
        def on_epoch_end(self, state):
            state.network.params[...] = 0

    model = MLPRegressor(**SMALL | dict(alpha=0.0), callbacks=Zero()).fit(X, SCORE)
    assert not weights(model).any()

    class Restart:
        """Back to where it began, before the last epoch."""

        def on_fit_begin(self, state):
            self.first = state.network.params.copy()

        def on_epoch_end(self, state):
            if state.epoch == 1:
                state.network.params = self.first

    params = SMALL | dict(solver="sgd", momentum=0.0, shuffle=False, max_iter=2)
    model = MLPRegressor(**params, callbacks=Restart()).fit(X, SCORE)
    once = MLPRegressor(**params | dict(max_iter=1)).fit(X, SCORE)
    assert_array_equal(weights(model), weights(once))
    assert model.loss_curve_ == once.loss_curve_ * 2
