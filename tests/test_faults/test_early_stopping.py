"""Early stopping where the held-out rows are few, have equal scores, or have weight zero."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.ensemble import BaggingRegressor

from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data

ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
STUCK = "The score of the held-out rows was .* the loss on these rows decided"


# --- a score that cannot move -------------------------------------------------------


@pytest.mark.fault(57)
def test_a_constant_target_is_learned():
    X, _ = make_data(300)
    with pytest.warns(RuntimeWarning, match=STUCK):
        model = MLPRegressor(early_stopping=True, learning_rate_init=0.01, max_iter=500, random_state=0).fit(
            X, np.full(300, 7.0)
        )
    assert np.abs(model.predict(X) - 7).max() < 0.5
    assert model.validation_scores_ == [0.0] * model.n_iter_


@pytest.mark.fault(57)
@ignore_max_iter
def test_the_epoch_of_the_smallest_loss_is_kept():
    # max_iter comes long before patience runs out
    X, _ = make_data(300)
    states = []

    class Note:
        def on_epoch_end(self, state):
            held_out = np.setdiff1d(np.arange(300), state.train_rows)
            error = state.network.forward(X[held_out]) - 7
            states.append((float(np.mean(error**2)), [W.copy() for W in state.network.coefs]))

    model = MLPRegressor(
        early_stopping=True, solver="sgd", learning_rate_init=0.1, momentum=0.97, max_iter=7, random_state=0
    )
    model.set_params(callbacks=Note())
    with pytest.warns(RuntimeWarning, match=STUCK):
        model.fit(X, np.full(300, 7.0))
    losses = [loss for loss, _ in states]
    best = int(np.argmin(losses))
    assert 0 < best < 6  # neither the first epoch nor the last
    for W, expected in zip(model.coefs_, states[best][1], strict=True):
        assert_array_equal(W, expected)


@pytest.mark.parametrize("seed", [2, 4])  # of which the held-out counts are all zero
def test_rare_counts_are_trained_on(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(150, 4))
    y = rng.poisson(0.07 * np.exp(X[:, 0] - 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor("poisson", early_stopping=True, max_iter=300, random_state=seed).fit(X, y)
        first = MLPRegressor("poisson", early_stopping=True, max_iter=1, random_state=seed).fit(X, y)
    assert len(set(model.validation_scores_)) == 1
    assert any((W != W1).any() for W, W1 in zip(model.coefs_, first.coefs_, strict=True))


def stuck_accuracy(**params):
    """A classifier whose accuracy on the held-out rows stays alike for more epochs than its patience lasts."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = (X[:, 0] > 1.2).astype(int)
    model = MLPClassifier((8,), solver="sgd", learning_rate_init=1e-6, early_stopping=True, random_state=0, **params)
    return model, X, y


@pytest.mark.fault(57)
@ignore_max_iter
def test_an_accuracy_that_stays_alike_gives_way_to_the_loss():
    model, X, y = stuck_accuracy(n_iter_no_change=4, max_iter=40, tol=1e-9)
    with pytest.warns(RuntimeWarning, match=STUCK):
        model.fit(X, y)
    assert len(set(model.validation_scores_[:6])) == 1  # where patience ran out
    assert model.n_iter_ > 20
    assert model.loss_ < model.loss_curve_[0]


def test_a_perfect_score_needs_no_loss():
    # nothing is better than 1: training ends as in scikit-learn, without a warning
    X, _ = make_data(100)
    model = MLPClassifier(early_stopping=True, n_iter_no_change=3, random_state=0).fit(X, np.ones(100))
    assert model.validation_scores_ == [1.0] * 5


@ignore_max_iter
def test_scores_that_move_decide_alone():
    X, y = make_data(200)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model = MLPRegressor(early_stopping=True, max_iter=30, learning_rate_init=0.01, random_state=0).fit(X, y)
    assert len(set(model.validation_scores_)) > 1


# --- classes without a row to train on ----------------------------------------------


@ignore_max_iter
def test_classes_without_a_training_row_are_named():
    X, _ = make_data(102)
    y = np.array(["often"] * 50 + ["also often"] * 50 + ["rare"] * 2)
    named = 0
    for seed in range(40):
        model = MLPClassifier(
            **SMALL | dict(max_iter=2, random_state=seed), early_stopping=True, validation_fraction=0.4
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        rng = np.random.RandomState(seed)
        texts = [str(w.message) for w in caught if "early_stopping holds out every row" in str(w.message)]
        rows = trained_rows(model, X, y, rng)
        assert bool(texts) == ("rare" not in y[rows])
        if texts:
            named += 1
            assert "classes rare:" in texts[0]
    assert named


def trained_rows(model, X, y, seed):
    """The rows that a fit like this trains on."""
    rows = []

    class Note:
        def on_fit_begin(self, state):
            rows.append(np.sort(state.train_rows))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        type(model)(**model.get_params() | dict(callbacks=Note(), random_state=seed)).fit(X, y)
    return rows[0]


@ignore_max_iter
def test_labels_without_a_training_row_are_named():
    X, _ = make_data(40)
    y = np.zeros((40, 3), int)
    y[:20, 0] = 1
    y[7, 2] = 1  # label 1 belongs to no row at all: nothing is amiss with the split
    messages = set()
    for seed in range(20):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = MLPClassifier(**SMALL | dict(max_iter=2, random_state=seed), early_stopping=True)
            model.set_params(validation_fraction=0.4).fit(X, y)
        messages |= {str(w.message) for w in caught if "holds out every row" in str(w.message)}
    assert len(messages) == 1
    assert "the classes 2:" in messages.pop()


# --- weights -----------------------------------------------------------------------


@both_estimators
@ignore_max_iter
@pytest.mark.filterwarnings(f"ignore:{STUCK}")
def test_rows_of_weight_zero_take_no_part_in_the_split(Estimator):
    X, y = make_data(20)
    y = np.arange(20) % 2
    weight = np.zeros(20)
    weight[[2, 3, 8, 9, 14, 15]] = 1
    model = Estimator(**SMALL | dict(batch_size=3), early_stopping=True, validation_fraction=0.34)
    for seed in range(20):
        model.set_params(random_state=seed).fit(X, y, sample_weight=weight)
        kept = weight > 0
        alone = Estimator(**model.get_params()).fit(X[kept], y[kept])
        for W, expected in zip(model.coefs_, alone.coefs_, strict=True):
            assert_array_equal(W, expected)


@ignore_max_iter
@pytest.mark.filterwarnings(f"ignore:{STUCK}")
def test_bagging_of_a_few_rows():
    X, y = make_data(30)
    model = MLPRegressor(**SMALL | dict(batch_size=5), early_stopping=True, validation_fraction=0.2)
    ensemble = BaggingRegressor(model, 20, random_state=0).fit(X, y)
    assert np.isfinite(ensemble.predict(X)).all()


@ignore_max_iter
@pytest.mark.parametrize("n_iter_no_change", [100, np.inf])
def test_scores_that_stay_alike_to_the_last_epoch(n_iter_no_change):
    model, X, y = stuck_accuracy(n_iter_no_change=n_iter_no_change, max_iter=30)
    first = stuck_accuracy(max_iter=1)[0].fit(X, y)
    with pytest.warns(RuntimeWarning, match=STUCK):
        model.fit(X, y)
    assert len(set(model.validation_scores_)) == 1
    assert any((W != W1).any() for W, W1 in zip(model.coefs_, first.coefs_, strict=True))


@pytest.mark.fault(5)
@pytest.mark.fault(15)
def test_one_row_to_split():
    weight = np.zeros(30)
    weight[3] = 1
    X, y = make_data(30)
    for arguments in (([[1.0]], [1.0]), (X, y, weight)):
        with pytest.raises(ValueError, match=r"validation_fraction=0\.1 of n_samples=1"):
            MLPRegressor(early_stopping=True).fit(*arguments)


@pytest.mark.parametrize(
    ("rows", "fraction", "named"), [(30, 0.0, "0.0"), (10, 0.1, "0.1"), (5, 0.9, "leaves 0 to train on"), (3, 0.5, "")]
)
def test_messages_speak_of_validation_fraction(rows, fraction, named):
    X, _ = make_data(rows)
    for model, y in ((MLPRegressor(), X[:, 0]), (MLPClassifier(), np.arange(rows) % 3)):
        if rows == 3 and isinstance(model, MLPRegressor):
            continue
        model.set_params(**SMALL | dict(batch_size=2), early_stopping=True, validation_fraction=fraction)
        if fraction == 0.5:
            y = ["a", "a", "b"]
            match = "only 1 member"
        else:
            match = "validation_fraction"
        with pytest.raises(ValueError, match=match) as caught:
            model.fit(X, y)
        assert named in str(caught.value)
        assert "test_size" not in str(caught.value)
