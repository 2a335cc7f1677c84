"""`save` and `load`: between an object and a file."""

import json
import os
import platform
import warnings
from os import PathLike
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator

from fastbp.estimators import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastbp.files.container import check_digest, loads, packed, safetensors, unpacked
from fastbp.files.decoding import BYTES_PER_CHARACTER, FREE_BYTES, Decoder
from fastbp.files.encoding import Encoder
from fastbp.files.errors import ModelFileError, Unsavable, shortened
from fastbp.kernels.dispatch import VERSION
from fastbp.network import Network
from fastbp.quantization import QuantizedMLPClassifier, QuantizedMLPRegressor, QuantizedNetwork
from fastbp.versions import VersionWarning
from fastbp.writing import write_atomically

#: The version of the format that `save` writes
FORMAT_VERSION = 1
#: version -> function that makes the JSON of the next version of its JSON: `load` applies them one after the other
UPGRADES: dict[int, Any] = {}
#: What can be saved
CLASSES = (
    MLPClassifier,
    MLPRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
    MLPEncoder,
    Network,
    QuantizedMLPClassifier,
    QuantizedMLPRegressor,
    QuantizedNetwork,
)
#: Type of these
Savable = (
    MLPClassifier
    | MLPRegressor
    | TabularMLPClassifier
    | TabularMLPRegressor
    | MLPEncoder
    | Network
    | QuantizedMLPClassifier
    | QuantizedMLPRegressor
    | QuantizedNetwork
)
#: What damaged JSON can lead to in the checks of the package: each is told of as a `ModelFileError`
REASONS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

#: Characters of what is said to be wrong with a file
REASON_LIMIT = 1000


def save(estimator: Savable, path: str | PathLike[str]) -> None:
    """Save an estimator or a network in a file that holds data only: no pickle, and nothing that is executed.

    The file is in the safetensors format. The weights are tensors with the names of ``network_.blocks``; parameters,
    classes, feature names, layers and versions are text in its metadata, under the key "model", as JSON. A loaded
    estimator predicts the same to the last bit, and `partial_fit` continues as it would have without the file:
    optimizer, generator, patience and averages are in it. To leave these out, save ``fastbp.slim(estimator)``.

    The file is written aside, flushed to the disk, and renamed: at any time there is the old file or the whole new one.
    A process that is killed meanwhile leaves a file ``<path>.<hex digits>.tmp`` behind, which can be deleted.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor, MLPEncoder or Network
        Fitted or not; or what `fastbp.quantize` makes of one.
    path : str or path
        Written over. A usual name is ``"model.safetensors"``.

    Raises
    ------
    TypeError
        For objects of other classes, also of subclasses; for parameters that a file cannot hold: functions, objects of
        classes that are not those of fastbp or NumPy, and the callbacks `Checkpoint` and `OptunaPruner`.
    ValueError
        For parameters that are not valid.
    ImportError
        If safetensors is not installed: ``pip install fastbp[save]``.
    OSError
        If the file cannot be written. A file that was there is as before.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import fastbp, tempfile
    >>> from pathlib import Path
    >>> model = fastbp.MLPRegressor(tol=0.1, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.safetensors"
    ...     fastbp.save(model, path)
    ...     loaded = fastbp.load(path)
    >>> bool((loaded.predict([[0.5]]) == model.predict([[0.5]])).all())
    True
    """
    checked_path(path)
    if type(estimator) not in CLASSES:
        raise TypeError(
            f"estimator must be an estimator or a Network of fastbp, got "
            f"{type(estimator).__name__}. Of a pipeline or a search, save the perceptron in it, such as pipeline[-1], "
            "or the whole with skops or joblib; objects of subclasses with pickle or joblib; of fastbp.dask save "
            "estimator.to_local()."
        )
    safetensors()
    write_atomically(path, content_of(estimator))


def load(path: str | PathLike[str]) -> Any:
    """Load what `save` has saved.

    Nothing in the file is executed, and no class is imported that it names: they come from a table. Layers, shapes and
    the length of the file are compared before anything is allocated for them, and all that is loaded is checked as
    parameters and data from a user are. A digest tells of damage. Whoever makes a file on purpose can still choose what
    the model predicts: load models from sources that you trust to be right.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor, MLPEncoder or Network
        Or a QuantizedMLPClassifier, QuantizedMLPRegressor or QuantizedNetwork.

    Raises
    ------
    ModelFileError
        For a file that is damaged, that is of a newer version of the format, or that is no model file: a pickle, say.
    ImportError
        If safetensors is not installed: ``pip install fastbp[save]``.
    OSError
        If the file cannot be read.

    Warns
    -----
    VersionWarning
        If another version of fastbp has saved it.

    See Also
    --------
    save : With an example.
    """
    checked_path(path)
    safetensors()
    name = os.fspath(path)
    try:
        model, version = model_of(read(path))
    except REASONS as error:
        reason = str(error) if isinstance(error, ValueError) else f"damaged: {error!r}"
        if len(reason) > REASON_LIMIT:  # with a part of the file in it
            reason = f"{reason[:REASON_LIMIT]}..."
        raise ModelFileError(name, reason) from error
    if version != VERSION:
        warnings.warn(VersionWarning(type(model).__name__, version, action="saved"), stacklevel=2)
    return model


def checked_path(path) -> None:
    """TypeError for anything but a path."""
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"path must be a str or a path, got {type(path).__name__}")


def content_of(estimator):
    """The bytes of the file of an estimator or a network.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, MLPEncoder or Network, or what `quantize` makes of them

    Returns
    -------
    bytes
    """
    encoder = Encoder()
    try:
        tree = encoder.encode(estimator, "")
        text = json.dumps(tree, allow_nan=False)
    except Unsavable as error:
        raise TypeError(with_way_out(error, estimator)) from error
    if encoder.padded > FREE_BYTES + BYTES_PER_CHARACTER * len(text):
        raise ValueError("the labels are padded to a width that few of them need. Give them as y.astype(object).")
    versions = {"fastbp": VERSION, "numpy": np.__version__, "scikit-learn": sklearn.__version__}
    versions["python"] = platform.python_version()
    texts = {"format": "fastbp", "format_version": str(FORMAT_VERSION), **versions, "model": text}
    return packed(texts, encoder.tensors)


def with_way_out(error, estimator) -> str:
    """The message for a value that a file cannot hold.

    Parameters
    ----------
    error : Unsavable
    estimator : object
        That was to be saved.

    Returns
    -------
    str
    """
    root = error.place.partition(".")[0].partition("[")[0]
    defaults = type(estimator)().get_params(deep=False) if isinstance(estimator, BaseEstimator) else {}
    if root in defaults:
        way = f"Set it to another value, as by set_params({root}={defaults[root]!r}), or use pickle or joblib."
    elif root in vars(estimator) and defaults:
        way = f"Delete the attribute, del estimator.{root}, or use pickle or joblib."
    else:
        way = "Use pickle or joblib, or fit without it."
    return (
        f"a model file cannot hold {error.place}={shortened(error.value)}: it holds data only, and no functions, no "
        f"callbacks that write files, and no objects of classes that are not those of fastbp or NumPy. {way}"
    )


def model_of(content):
    """The object in the bytes of a file, and the version of fastbp that has saved it.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    model : MLPClassifier, MLPRegressor, MLPEncoder or Network, or what `quantize` makes of them
    version : str

    Raises
    ------
    ValueError
        And others in ``REASONS``, for what is no model file.
    """
    texts, tensors = unpacked(content)
    del content
    format_version = checked_version(texts)
    check_digest(texts, tensors)
    text = texts.get("model", "")
    tree = loads(text, "model")
    for older in range(format_version, FORMAT_VERSION):
        tree = UPGRADES[older](tree)
    decoder = Decoder(tensors, len(text))
    model = decoder.decode(tree, "")
    decoder.finish()
    if type(model) not in CLASSES:
        raise ValueError(f"it holds a {type(model).__name__}, and no estimator or network")
    return model, texts.get("fastbp", "(unknown version)")


def checked_version(texts):
    """The version of the format, up to ``FORMAT_VERSION``; ValueError for a newer one.

    Parameters
    ----------
    texts : dict of str to str
        The metadata.

    Returns
    -------
    int
    """
    if texts.get("format") != "fastbp":
        raise ValueError("no model file of fastbp, but of something else that uses safetensors")
    version = texts.get("format_version", "")
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 10 and int(version) > 0):
        raise ValueError(f"damaged: the version of the format is {version!r}")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"saved in version {version} of the format by fastbp {texts.get('fastbp')}; this is fastbp {VERSION}, "
            f"which reads versions up to {FORMAT_VERSION}. Install a newer fastbp."
        )
    return int(version)


def read(path):
    """The bytes of a file, unless its first ones tell that it is no model file.

    Parameters
    ----------
    path : str or PathLike

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        For files that other functions write, before they are read.
    OSError
    """
    with open(path, "rb") as file:
        beginning = file.read(9)  # the length of the header, and its first character
        if beginning[8:] == b"{":
            return beginning + file.read()
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        end = file.read(1)
    is_pickle = beginning[:1] == b"\x80" and beginning[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if is_pickle or (beginning[:1] in (b"(", b"c", b"]", b"}", b"i") and end == b"."):
        raise ValueError(
            "a pickle, which is not loaded: it could execute anything. If you trust its source, load it with pickle or "
            "joblib, and save it again with fastbp.save."
        )
    if beginning[:4] == b"PK\x03\x04":
        raise ValueError("an archive, and no model file of fastbp; files of skops are loaded with skops.io.load")
    raise ValueError(f"no model file of fastbp, or cut: it has {size:,} bytes, and no header")
