"""Estimators in files of skops, which also loads without executing code: its types are to be trusted by name."""

import numpy as np
import pytest
import skops.io
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPEncoder, MLPRegressor
from fastbp.layers import BatchNorm, Dense
from fastbp.optimizers import OPTIMIZERS
from fastbp.schedules import SCHEDULES
from file_cases import LABELS, POSITIVE, X, assert_goes_on, assert_same

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETTINGS = dict(hidden_layer_sizes=(5,), max_iter=3, random_state=0)


def by_skops(thing):
    """What skops loads of what it has saved, with all types of fastbp trusted, and no others."""
    content = skops.io.dumps(thing)
    trusted = skops.io.get_untrusted_types(data=content)
    # numpy.dtype: of the network
    assert all(name.startswith("fastbp.") or name == "numpy.dtype" for name in trusted), trusted
    return skops.io.loads(content, trusted=trusted)


TARGETS = {
    "labels": LABELS,
    "text": np.array(["a", "b", "c"])[LABELS],
    "indicators": np.eye(3, dtype=int)[LABELS],
    "numbers": POSITIVE,
    "columns": X[:, :2],
}
CASES = [
    (MLPClassifier, "labels", {}),
    (MLPClassifier, "text", {"early_stopping": True}),
    (MLPClassifier, "indicators", {"solver": "lbfgs", "dtype": "float32"}),
    (MLPRegressor, "numbers", {"loss": "gaussian", "ema_decay": 0.9}),
    (MLPRegressor, "columns", {"layers": [Dense(4, "prelu"), BatchNorm()]}),
    *((MLPRegressor, "numbers", {"solver": cls()}) for cls in OPTIMIZERS.values()),
    *((MLPRegressor, "numbers", {"learning_rate": cls(), "solver": "sgd"}) for cls in SCHEDULES.values()),
]


@pytest.mark.parametrize(("Estimator", "targets", "options"), CASES, ids=str)
def test_estimators(Estimator, targets, options):
    y = TARGETS[targets]
    model = Estimator(**SETTINGS, **options).fit(X, y)
    loaded = by_skops(model)
    assert_same(model.predict(X), loaded.predict(X))
    if not options.get("early_stopping"):
        assert_goes_on(model, loaded, X, y)


def test_a_pipeline():
    model = make_pipeline(StandardScaler(), MLPEncoder(2, (3,), MLPRegressor(max_iter=2, random_state=0)))
    loaded = by_skops(model.fit(X))
    assert_same(model.transform(X), loaded.transform(X))


def test_nothing_is_trusted_unasked():
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException, match="fastbp"):
        skops.io.loads(skops.io.dumps(MLPRegressor(**SETTINGS).fit(X, POSITIVE)))
