"""Writes a model file in the present version of the format, with what the model predicts: once for each version.

::

    python tests/model_file_record.py

The files stay as they are when the format changes: later versions of fastbp are to load them, see
``test_files/test_versions.py``.
"""

import json
import warnings
from pathlib import Path

import numpy as np

import fastbp
from fastbp import MLPClassifier
from fastbp.files.model_file import FORMAT_VERSION
from fastbp.layers import Activation, BatchNorm, Dense, Residual

FOLDER = Path(__file__).parent / "model_files"


def data():
    """X and y, by arithmetic that is the same everywhere."""
    X = (np.arange(60.0).reshape(20, 3) * 7 % 11 - 5) / 4
    return X, np.array(["a", "b", "c"])[(X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0)]


def predictions(model, X, y):
    """What a model predicts before and after one more epoch."""
    before = model.predict_proba(X).tolist()
    model.partial_fit(X, y)
    return {"before": before, "after": model.predict_proba(X).tolist()}


def main():
    """Write both files."""
    X, y = data()
    layers = [Dense(4, "prelu"), BatchNorm(), Activation("tanh"), Residual([Dense(4, "relu")])]
    model = MLPClassifier(layers=layers, ema_decay=0.5, solver="adamw", max_iter=5, batch_size=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    fastbp.save(model, FOLDER / f"format_{FORMAT_VERSION}.safetensors")
    (FOLDER / f"format_{FORMAT_VERSION}.json").write_text(json.dumps(predictions(model, X, y)))


if __name__ == "__main__":
    main()
