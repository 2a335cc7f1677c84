"""A process that is killed during training, at any moment: the next one goes on to the bits of an uninterrupted run."""

import os
import pickle
import random
import signal
import threading
import time
from pathlib import Path

import pytest

import warm_python
from resume_cases import assert_same_model

pytestmark = [pytest.mark.fault(35), pytest.mark.skipif(os.name != "posix", reason="SIGKILL")]

#: A run of 40 epochs, which begins or goes on; a line for each epoch, when it is saved. The model is in a file then
RUN = """
import pickle, sys, warnings
from pathlib import Path
import numpy as np
from fastbp import MLPClassifier
from fastbp.callbacks import Checkpoint, ReduceOnPlateau

class Tell:
    def on_epoch_begin(self, state):
        print("epoch", state.epoch, flush=True)

warnings.simplefilter("ignore")
folder, params = Path(sys.argv[1]), eval(sys.argv[2])
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 10))
y = np.where(X[:, 0] * X[:, 1] > 0, "a", np.where(X[:, 2] > 0, "b", "c"))
path = folder / "run"
callbacks = [Checkpoint(path), *([] if params.get("solver") == "lbfgs" else [ReduceOnPlateau(patience=1)]), Tell()]
model = MLPClassifier((20, 20), max_iter=40, random_state=0, tol=1e-9, callbacks=callbacks, **params)
model.fit(X, y, resume_from=path if path.exists() else None)
model.callbacks = None
(folder / "model").write_bytes(pickle.dumps(model))
"""

PARAMS = {
    "adam": dict(dropout=0.2, ema_decay=0.9, early_stopping=True, n_iter_no_change=100, warmup=5, batch_size=50),
    "swa": dict(solver="sgd", learning_rate="one_cycle", normalization="batch", swa_start=0.5, mixup_alpha=0.2),
    "lbfgs": dict(solver="lbfgs"),
}
#: Seconds that no run takes
HANGS = 300


def start(folder, params):
    """A child that trains, and the timer that kills it if it hangs: its next line is waited for without an end."""
    child = warm_python.start(["-c", RUN, folder, repr(params)])
    child.stdin.close()
    timer = threading.Timer(HANGS, child.kill)
    timer.start()
    return child, timer


def kill_after(child, timer, n_epochs, delay):
    """Kill the child when it has told of so many epochs, and a bit later. Whether it was over before."""
    for line in child.stdout:
        n_epochs -= line.startswith("epoch")
        if n_epochs <= 0:
            time.sleep(delay)
            child.kill()
            break
    child.stdout.close()
    code = child.wait()
    timer.cancel()
    assert code == 0 or (code == -signal.SIGKILL and n_epochs <= 0)
    return code == 0


def seconds_of_an_epoch(folder, params):
    """The time of an epoch, with its checkpoint, of an uninterrupted run."""
    child, timer = start(folder, params)
    times = [time.monotonic() for line in child.stdout if line.startswith("epoch")]
    child.stdout.close()
    code = child.wait()
    timer.cancel()
    assert code == 0
    return (times[-1] - times[0]) / len(times)


@pytest.mark.parametrize("case", PARAMS)
def test_killed_again_and_again(case, tmp_path):
    """Each child is killed after some epochs, at any moment of one: in a step, or while the file is written.
    It leaves a whole checkpoint, and what it had not yet renamed."""
    params, rng = PARAMS[case], random.Random(case)
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    seconds = seconds_of_an_epoch(tmp_path / "whole", params)
    n_kills = 0
    while not kill_after(*start(tmp_path / "killed", params), rng.randint(6, 14), rng.uniform(0, 2 * seconds)):
        n_kills += 1
        assert n_kills <= 40  # at least one epoch each
        pickle.loads((tmp_path / "killed" / "run").read_bytes())
    assert n_kills >= 2
    assert {Path(name).suffix for name in os.listdir(tmp_path / "killed")} <= {"", ".tmp"}
    killed, whole = (pickle.loads((tmp_path / name / "model").read_bytes()) for name in ("killed", "whole"))
    assert_same_model(killed, whole)
    assert killed.n_iter_ == 40
