"""Checkpoints of a run: estimators with the state of the run, in files, from which ``fit(..., resume_from=)`` goes on.

A resumed fit is set up as one with ``warm_start`` from the estimator of the checkpoint: the same layers, classes and
held-out rows. Then all that changes in a run gets the state that was saved; see `fastbp.training.run_state`.
"""

import os
import pickle
from numbers import Integral
from os import PathLike

import numpy as np

from fastbp.estimators.parameters import end_is_needed_by, is_stochastic
from fastbp.estimators.sklearn_callbacks import ATTRIBUTES as SKLEARN_ATTRIBUTES
from fastbp.training import DataChecksums
from fastbp.training.run_state import FORMAT
from fastbp.writing import write_atomically

#: Ending of a path -> the functions that write and read such a checkpoint, as `format_of` returns them. Other endings
#: are those of pickles. ``fastbp.files`` adds its own.
FORMATS = {}

#: Parameters that a resumed run may have other values of
FREE = ("callbacks", "init_from", "max_fun", "max_time", "n_threads", "verbose", "warm_start")

#: Attributes of an estimator that a fit does not set, beside the parameters
KEPT = (*SKLEARN_ATTRIBUTES, "_metadata_request")

IS_NO_CHECKPOINT = (
    "resume_from needs a checkpoint of a run: a file that fastbp.callbacks.Checkpoint has saved, or the estimator "
    "loaded from it"
)


def checksums_of(state, validation=None):
    """The data of a run, to be compared with those of a run that is resumed.

    Parameters
    ----------
    state : TrainingState
    validation : ValidationSet or None

    Returns
    -------
    DataChecksums
    """
    arrays = {"X": state.X, "y": state.targets, "sample_weight": state.sample_weight}
    if validation is not None:
        scores = validation.scores
        arrays |= {"X_val": scores.X, "y_val": scores.y, "sample_weight_val": scores.sample_weight}
    return DataChecksums(arrays)


def write_checkpoint(estimator, path):
    """Save an estimator with the state of its run.

    Parameters
    ----------
    estimator : BaseMLP
    path : str
        Its ending decides the format. At any time there is the old file or the whole new one.
    """
    write, _ = format_of(path)
    write(estimator, path)


def read_checkpoint(path):
    """What is in a file: an estimator, if it is a checkpoint.

    Parameters
    ----------
    path : str or PathLike

    Returns
    -------
    object

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not of the format that its ending stands for.
    """
    path = os.fspath(path)
    _, read = format_of(path)
    return read(path)


def format_of(path):
    """The functions (estimator, path) that writes, and (path) that reads, a file with the ending of `path`."""
    return FORMATS.get(os.path.splitext(path)[1], (write_pickle, read_pickle))


def write_pickle(estimator, path):
    """See `write_checkpoint`."""
    write_atomically(path, pickled(estimator))


def pickled(estimator):
    """The pickle of an estimator; TypeError where it has parameters that cannot be pickled."""
    try:
        return pickle.dumps(estimator)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"Checkpoint cannot pickle the estimator: {error!r}. In its parameters, use functions and classes that a "
            "module defines, in place of lambdas and local ones."
        ) from error


def read_pickle(path):
    """See `read_checkpoint`."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return pickle.loads(content)
    except MemoryError:
        raise
    except Exception as error:  # of many types, for bytes that are no pickle
        raise ValueError(f"resume_from={path!r} cannot be loaded: {error!r}. {IS_NO_CHECKPOINT}") from error


def continue_run(model, resume_from):
    """Give an estimator that is to be fitted the attributes of a checkpoint, but for the parameters.

    Parameters
    ----------
    model : BaseMLP
    resume_from : str, PathLike or BaseMLP

    Returns
    -------
    dict
        The state of the run.

    Raises
    ------
    OSError, ValueError
        If it is no checkpoint, or one of an estimator of another class or with other parameters.
    """
    is_path = isinstance(resume_from, (str, PathLike))
    checkpoint = read_checkpoint(resume_from) if is_path else resume_from
    run = getattr(checkpoint, "_run", None)
    if not isinstance(run, dict):
        has_run = "which has no run to resume: it was saved otherwise, or trained on since" if is_path else ""
        raise ValueError(f"{IS_NO_CHECKPOINT}; got {resume_from!r}, {has_run or 'which has none'}")
    if type(checkpoint) is not type(model):
        raise ValueError(
            f"resume_from is a checkpoint of {type(checkpoint).__name__}, and cannot be resumed by "
            f"{type(model).__name__}"
        )
    if run.get("format") != FORMAT:
        raise ValueError(
            "resume_from is a checkpoint by another version of fastbp: resume it with that version, or continue from "
            "its weights by partial_fit or init_from"
        )
    if not isinstance(run.get("random_state"), np.random.RandomState):  # used before the rest of the state is checked
        raise ValueError("resume_from: the state of the run is damaged: it has no random_state")
    check_parameters(model, checkpoint)
    own = {*model.get_params(deep=False), *KEPT}
    attributes = {name: value for name, value in vars(model).items() if name in own}
    attributes |= {name: value for name, value in vars(checkpoint).items() if name not in own}
    vars(model).clear()
    vars(model).update(attributes)
    return run


def check_parameters(model, checkpoint):
    """Check that a run can go on with the parameters of an estimator.

    Parameters
    ----------
    model, checkpoint : BaseMLP
        Of one class.

    Raises
    ------
    ValueError
        Which names all parameters that differ, and both values.
    """
    ours, theirs = model.get_params(deep=False), checkpoint.get_params(deep=False)
    end = end_of_run(model) if is_stochastic(model.solver) else None
    is_seeded = any(isinstance(parameters["random_state"], Integral) for parameters in (ours, theirs))
    free = {*FREE, *["max_iter"] * (end is None), *["random_state"] * (not is_seeded)}
    names = [name for name in ours if name not in free and not is_same(ours[name], theirs[name])]
    if names:
        pairs = ", ".join(f"{name}={ours[name]!r} and not {theirs[name]!r}" for name in names)
        why = f"; {end} depends on max_iter" if "max_iter" in names else ""
        raise ValueError(f"resume_from: this estimator has other parameters than that of the checkpoint: {pairs}{why}")


def end_of_run(model):
    """What makes the training depend on `max_iter`, in words; None if nothing does."""
    if not isinstance(model.warmup, Integral) and model.warmup > 0:
        return f"warmup={model.warmup!r}"
    return end_is_needed_by(model)


def is_same(ours, theirs):
    """Whether two values of a parameter are the same.

    Objects that do not know whether they are equal are the same if copies of them have the same pickles: the pickle of
    an object that was loaded once can differ from that of the object itself.
    """
    if ours is theirs:
        return True
    try:
        if np.array_equal(ours, theirs):
            return True
    except Exception:  # of arrays in lists, and of objects that cannot be compared
        pass
    try:
        ours, theirs = (pickle.dumps(pickle.loads(pickle.dumps(value))) for value in (ours, theirs))
        return ours == theirs
    except Exception:
        return False
