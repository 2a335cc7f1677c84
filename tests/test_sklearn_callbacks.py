"""scikit-learn's own callbacks; `estimators/sklearn_callbacks.py`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from callback_cases import SCORE, SMALL, TARGETS, WEIGHT, X, both_estimators, every_solver, ignore_max_iter, weights
from fastbp import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback")
pytestmark = ignore_max_iter


class Log:
    """Notes every hook, and stops or fails at an epoch on request."""

    def __init__(self, stop_at=None, fail_at=None):
        self.seen, self.fitted, self.stop_at, self.fail_at = [], [], stop_at, fail_at

    def setup(self, estimator, context):
        self.seen.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.seen.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.seen.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.seen.append(("end", context.task_name, context.task_id))
        if fitted_estimator is not None:
            fitted_estimator.score(X, y)
            self.fitted.append((estimator, X, y, metadata, fitted_estimator))
        if context.task_id == self.fail_at:
            raise ZeroDivisionError
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_at


def epochs(n):
    return [(event, "epoch", number) for number in range(n) for event in ("begin", "end")]


@both_estimators
@every_solver
def test_hooks(Estimator, solver):
    log, y = Log(), TARGETS[Estimator]
    model = Estimator(**SMALL, solver=solver).set_callbacks(log).fit(X, y, *[WEIGHT] * (solver != "lbfgs"))
    n_tasks = 7 if solver == "lbfgs" and len(log.fitted) < 8 and ("begin", "epoch", 6) in log.seen else 6
    assert log.seen == [
        ("setup", "fit"), ("begin", "fit", 0), *epochs(n_tasks), ("end", "fit", 0), ("teardown", "fit")
    ]  # fmt: skip
    assert len(log.fitted) == 7
    for number, (estimator, given_X, given_y, metadata, fitted) in enumerate(log.fitted, 1):
        assert estimator is model
        assert_array_equal(given_X, X)
        assert given_y is y
        if solver != "lbfgs":
            assert_array_equal(metadata["sample_weight"], WEIGHT)
            shorter = Estimator(**SMALL | dict(max_iter=min(number, 6)), solver=solver).fit(X, y, WEIGHT)
            assert_array_equal(weights(fitted), weights(shorter))
            assert fitted.loss_curve_ == shorter.loss_curve_
    plain = Estimator(**SMALL, solver=solver).fit(X, y, *[WEIGHT] * (solver != "lbfgs"))
    assert_array_equal(weights(model), weights(plain))
    assert {name for name in vars(model) if "callback" in name} == {"callbacks", "_skl_callbacks"}
    model.set_callbacks()
    assert "_skl_callbacks" not in vars(model)


@every_solver
def test_a_callback_stops_training(solver):
    log = Log(stop_at=2)
    model = MLPRegressor(**SMALL, solver=solver).set_callbacks(log).fit(X, SCORE)
    assert model.n_iter_ == 2
    assert log.seen[-3:] == [("end", "epoch", 1), ("end", "fit", 0), ("teardown", "fit")]


@every_solver
def test_a_callback_that_fails(solver):
    log = Log(fail_at=2)
    model = MLPRegressor(**SMALL, solver=solver).set_callbacks(log)
    with pytest.raises(ZeroDivisionError):
        model.fit(X, SCORE)
    assert log.seen[-2:] == [("end", "epoch", 2), ("teardown", "fit")]
    assert not hasattr(model, "coefs_")
    assert not hasattr(model, "_callback_fit_ctx")
    # a fit without callbacks, and a clone with them
    clone(model).set_callbacks().fit(X, SCORE)
    assert clone(model)._skl_callbacks == [log]
    log.fail_at = None
    clone(model).fit(X, SCORE)


def test_in_a_search_and_a_pipeline(capsys):
    pytest.importorskip("rich")
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0, 1]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, TARGETS[MLPClassifier])
    assert "MLPClassifier" in capsys.readouterr().out
    assert "_skl_callbacks" not in vars(search.best_estimator_[-1])


def test_scikit_learns_scoring_monitor():
    monitor = callback.ScoringMonitor(scoring="r2")
    model = MLPRegressor(**SMALL).set_callbacks(monitor).fit(X, SCORE)
    scores = [row["r2"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    expected = [MLPRegressor(**SMALL | dict(max_iter=n)).fit(X, SCORE).score(X, SCORE) for n in range(1, 7)]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    with pytest.raises(TypeError, match="FitCallback protocol"):
        model.set_callbacks(3)
