"""Model files without pickle: parameters as text, weights as tensors, and nothing that is executed.

::

    save:  estimator -> Encoder -> JSON and tensors -> container (safetensors) -> the disk
    load:  the disk -> container: header, digest -> Decoder -> checks of what a fit leaves -> estimator

``encoding`` and ``decoding`` know plain values, and ``kinds`` has the closed table of classes, each with the way to
JSON and back. What is not in the table is refused, in both directions.
"""

from fastbp.estimators.checkpoints import FORMATS
from fastbp.files.errors import ModelFileError
from fastbp.files.model_file import load, save

__all__ = ["ModelFileError", "load", "save"]

# checkpoints at paths with the usual ending of such files are model files
FORMATS[".safetensors"] = save, load
