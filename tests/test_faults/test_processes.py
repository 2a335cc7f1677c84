"""Jobs in processes: how many threads run at once."""

import os
import subprocess
import sys

import pytest

LOKY = """
import _thread
import warnings

import joblib
import numpy as np


def threads_of_a_fit():
    # this one, and those that the fit starts
    import fastbp.network
    import fastbp.threads
    from fastbp import MLPRegressor

    warnings.simplefilter("ignore")
    # any amount of work is shared
    fastbp.threads.FLOPS_PER_THREAD = fastbp.network.STARTED_FLOPS_PER_THREAD = 1
    start, started = _thread.start_new_thread, []

    def start_new_thread(*arguments):
        started.append(arguments)
        return start(*arguments)

    _thread.start_new_thread = start_new_thread
    X = np.random.default_rng(0).normal(size=(500, 20))
    try:
        MLPRegressor(hidden_layer_sizes=(50,), max_iter=3, random_state=0).fit(X, X[:, 0])
    finally:
        _thread.start_new_thread = start
    return 1 + len(started)


if __name__ == "__main__":
    from fastbp.threads import available_threads

    print(available_threads(), threads_of_a_fit())
    with joblib.parallel_config("loky", n_jobs=2):
        print(*joblib.Parallel(batch_size=1)(joblib.delayed(threads_of_a_fit)() for _ in range(4)))
"""


@pytest.mark.fault(28)
def test_no_more_running_threads_than_processors_under_loky(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(LOKY)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-W", "ignore", str(script)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stderr
    processors, alone, *jobs = map(int, process.stdout.split())
    assert alone == processors
    assert len(jobs) == 4
    assert 2 * max(jobs) <= max(processors, 2)  # two jobs at a time
