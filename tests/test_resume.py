"""A run that was saved by `Checkpoint` goes on to the model of the uninterrupted run, bit for bit."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp.estimators.parameters import end_is_needed_by
from resume_cases import TARGETS, X, assert_same_model, cases, estimator, fit, fresh

pytestmark = [
    pytest.mark.fault(35),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The score of the held-out rows was:RuntimeWarning"),
]

CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_every_solver_and_schedule(case, tmp_path):
    Estimator, params, options = CASES[case]
    np.random.seed(7)
    model = fit(estimator(Estimator, params, options, tmp_path), options)
    files = sorted(os.listdir(tmp_path), key=int)
    assert len(files) == model.n_iter_
    for number in sorted({0, len(files) // 2, len(files) - 2, len(files) - 1} & set(range(len(files)))):
        before = np.random.get_state()[1].copy()
        resumed = fit(fresh(model), options, resume_from=tmp_path / files[number])
        assert_same_model(resumed, model)
        assert_array_equal(np.random.get_state()[1], before)
    if not params["early_stopping"] and end_is_needed_by(model) is None:
        for one in (model, resumed):
            one.callbacks = None
            np.random.seed(8)
            one.partial_fit(X, TARGETS[Estimator])
        assert_same_model(resumed, model)
