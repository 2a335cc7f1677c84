"""An interpreter without the GIL: importing the package and using it leave the GIL off."""

import subprocess
import sys
import sysconfig

import pytest

USE = """
import sys
import warnings

import numpy as np

assert not sys._is_gil_enabled()  # before any import
import sklearn.neural_network

if sys._is_gil_enabled():
    print("on without fastbp")
    sys.exit()
warnings.simplefilter("error", RuntimeWarning)  # what the interpreter says when a module turns the GIL on
import fastbp
import fastbp.autodiff
import fastbp.inspection

warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(200, 5))
for solver in ("adam", "lbfgs"):
    model = fastbp.MLPClassifier((8,), solver=solver, max_iter=3, n_threads=2, random_state=0)
    model.fit(X, X[:, 0] > 0).predict(X)
print("on" if sys._is_gil_enabled() else "off")
"""


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter is not built for free threading"
)
def test_the_gil_stays_off():
    # a new interpreter: the modules of other tests may have turned the GIL on in this one
    process = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, timeout=300)
    if process.stdout.strip() == "on without fastbp":
        pytest.skip("scikit-learn or SciPy turn the GIL on")
    assert process.stdout.strip() == "off", process.stdout + process.stderr
