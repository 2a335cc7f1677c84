"""Random estimators, data and calls: each call comes to a clear error or to a finite model.

Some hundred examples are run with the other tests, always the same. ``FASTBP_FUZZ=<number of examples> python -m pytest
tests/test_fuzz.py -k long`` runs as many new ones, in a process of its own; see `fuzz_long`.
"""

import faulthandler
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings

from fastbp import MLPClassifier, MLPRegressor
from fastbp.inspection import gradient_check
from fuzz_calls import run, stories
from fuzz_networks import problems

N_EXAMPLES = int(os.environ.get("FASTBP_FUZZ", "0"))
#: The same examples in each run, and no limit of time for one of them
BOUNDED = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_every_story_ends_well(Estimator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # checkpoints are written there
    tally = Counter()

    @settings(BOUNDED, max_examples=400)
    @given(stories(Estimator))
    def story_ends_well(story):
        run(Estimator, story, tally)

    story_ends_well()
    # the examples are not all of the same kind
    assert tally["fit: success"] > 50
    assert tally["fit: ValueError"] > 50


@pytest.mark.fault(42)
def test_gradients():
    @settings(BOUNDED, max_examples=150)
    @given(problems())
    def gradient_is_right(problem):
        check_gradient(problem)

    gradient_is_right()


def check_gradient(problem):
    """The gradient of a network agrees with differences of its loss, and that of float32 with that of float64."""
    network, X, y, weight = problem.made()
    try:
        check = gradient_check(network, X, y, weight, n_checks=10)
    except ValueError as error:
        if re.search("clips a probability in every row|not finite", str(error)):
            reject()
        raise
    assert not [group for group in check.groups if group.verdict == "WRONG"], str(check)
    loss, gradient = network.loss_and_gradient(X, y, weight)
    exact_loss, exact = network.astype(np.float64).loss_and_gradient(X, y, weight)
    # the sums of some ten layers, of up to 40 terms
    eps = 1e3 * np.finfo(network.dtype).eps
    np.testing.assert_allclose(loss, exact_loss, rtol=eps, atol=eps)
    np.testing.assert_allclose(gradient, exact, rtol=0, atol=10 * eps * max(1.0, np.abs(exact).max()))


@pytest.mark.skipif(not N_EXAMPLES, reason="the long run: FASTBP_FUZZ=<number of examples>")
def test_long_run(capfd):
    faulthandler.cancel_dump_traceback_later()  # a long run is no hang
    program = Path(__file__).with_name("fuzz_long.py")
    with capfd.disabled():
        assert subprocess.run([sys.executable, str(program), str(N_EXAMPLES)]).returncode == 0
