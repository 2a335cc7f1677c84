"""Save a whole pipeline without pickle, with skops
================================================

To run it::

    python examples/recipes/skops_files.py

`fastbp.save` writes one estimator or network to a model file. A pipeline has steps of other libraries: skops writes it
to one file without pickle. Loading creates objects of types that you trust only. `get_untrusted_types` lists those that
skops does not know: look at the list before you pass it on.
"""

import tempfile
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, slim

X, y = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=500, tol=0.001, random_state=0)).fit(X, y)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "pipeline.skops")
    skops.io.dump(model, path)
    unknown = skops.io.get_untrusted_types(file=path)
    print("types to trust:", *unknown, sep="\n    ")
    assert all(name.startswith("fastbp.") for name in unknown)
    loaded = skops.io.load(path, trusted=unknown)

    # Without the optimizer's state, which only further training needs, the file is smaller
    small = Path(folder, "small.skops")
    skops.io.dump(make_pipeline(model[0], slim(model[-1])), small)
    sizes = path.stat().st_size, small.stat().st_size

same = np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
print("the loaded pipeline predicts the same:", same)
print(f"{sizes[0]:,} bytes, {sizes[1]:,} without the optimizer")
assert same
assert sizes[1] < sizes[0]
