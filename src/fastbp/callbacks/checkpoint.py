"""Files of the estimator during training."""

import os
from numbers import Integral, Real
from os import PathLike
from time import perf_counter
from typing import Any

from fastbp.callbacks.monitor import MONITOR, monitored
from fastbp.compatibility import Interval
from fastbp.parametrized import Parametrized, parameter, parametrized
from fastbp.training.state import TrainingState


@parametrized(eq=False)
class Checkpoint(Parametrized):
    """Saves the estimator during training, so that a run that ends before its time can be resumed.

    The file has the estimator with the weights of that epoch, without its callbacks and requests of metadata. Its
    ending decides the format: ".safetensors" is that of `fastbp.save`, which holds no code and refuses parameters that
    are functions; any other ending means a pickle, to be loaded from sources that you trust only. The file is written
    aside, flushed to the disk, and then renamed: at any time it is a whole one. A process that is killed meanwhile
    leaves a file ``<path>.<hex digits>.tmp`` behind, which can be deleted.

    ``fit(X, y, ..., resume_from=path)`` of an estimator with the same parameters, on the same data, goes on with the
    run from that epoch, and gives the model of the uninterrupted run to the last bit: the file has all that changes in
    a run, such as the weights and their averages, the optimizer's state, the generator, the order of the rows, the
    record, patience and the best weights, and the state of callbacks. The estimator's `fit` tells which parameters may
    differ. The data are not in the file, but checksums of them. It is saved when all callbacks have seen the end of the
    epoch, wherever the `Checkpoint` stands among them. Beside what the estimator has, the file has the weights before
    training, with `early_stopping` the best ones, and 8 bytes for each row.

    The clones of an estimator, in a search or a cross-validation, share the path, and write over each other's files.

    The loaded estimator is also one like any other: it predicts, and `partial_fit` trains it on, with the optimizer's
    state, learning rate and generator of that epoch, after which it has no run to resume. `fit` with ``warm_start``
    goes on from the weights, with a new optimizer, patience and generator, as always.

    For 'lbfgs', whose state is not saved, all losses and gradients since the beginning are kept and saved,
    and the optimizer is led along them when the run is resumed. They take one number for each weight, of the dtype of
    the network, for each evaluation: in memory as long as the fit lasts, and in each file.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> import pickle, tempfile
    >>> from pathlib import Path
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import Checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saves = Checkpoint(Path(folder) / "model-{epoch:03}.pickle", every=20)
    ...     model = MLPRegressor(tol=0.1, n_iter_no_change=30, callbacks=saves).fit([[0.0], [1.0]], [0.0, 1.0])
    ...     pickle.loads((Path(folder) / "model-020.pickle").read_bytes()).n_iter_
    20

    A fit that goes on where it was interrupted, however often:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "run.pickle"
    ...     model = MLPRegressor(tol=0.1, random_state=0, callbacks=Checkpoint(path, every=None, seconds=60))
    ...     model = model.fit([[0.0], [1.0]], [0.0, 1.0], resume_from=path if path.exists() else None)
    """

    path: str | PathLike[str] = parameter(
        "model.pickle",
        [str, PathLike],
        "str or path",
        """
        The file; written over. ``{epoch}``, ``{loss}`` and ``{score}``, which there is with a validation set, are
        replaced as by `str.format`, so that several are kept: ``"model-{epoch:03}.pickle"``. Other braces are doubled.
        Its folder must be there.""",
    )

    every: int | None = parameter(
        1,
        [Interval(Integral, 1, None, closed="left"), None],
        "int or None",
        "Save after every so many epochs or iterations; None: by time only.",
    )

    best_only: bool = parameter(
        False, ["boolean"], "bool", "Save only where what is watched is better than ever before in this fit."
    )

    monitor: str | None = parameter(None, [str, None], "str or None", MONITOR)

    seconds: float | None = parameter(
        None,
        [Interval(Real, 0, None, closed="neither"), None],
        "float or None",
        """
        Save at the end of the first epoch that ends so many seconds after the last save, or after the beginning of the
        fit; None: by epochs only. Beside `every`, whichever comes first.""",
    )

    #: Has 'lbfgs' keep what a resumed run needs
    saves_run = True

    def on_fit_begin(self, state: TrainingState) -> None:
        """Forget the best value of an earlier fit.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        ValueError
            If neither `every` nor `seconds` tells when to save, or the path is that of a folder.
        FileNotFoundError
            If there is no folder for the file: the training must not be lost when it is time to save.
        """
        self._validate_params()
        if self.every is None and self.seconds is None:
            raise ValueError("Checkpoint never saves with every=None and seconds=None: set one of them")
        path = os.fspath(self.path)
        if not path or os.path.isdir(path):
            raise ValueError(f"path of Checkpoint must be that of a file, got {path!r}")
        folder = os.path.dirname(path)
        if folder and "{" not in folder and not os.path.isdir(folder):
            raise FileNotFoundError(f"path of Checkpoint: there is no folder {folder!r}; create it before fit")
        self._best: float | None = None
        self._is_due, self._last_save = False, perf_counter()

    def on_epoch_end(self, state: TrainingState) -> None:
        """Find out whether it is time to save.

        Parameters
        ----------
        state : TrainingState
        """
        is_late = self.seconds is not None and perf_counter() - self._last_save >= self.seconds
        self._is_due = is_late or (self.every is not None and state.epoch % self.every == 0)
        if self._is_due and self.best_only:
            value, sign = monitored(state, self.monitor)
            is_best = value == value and (self._best is None or sign * value > self._best)  # NaN is never the best
            self._is_due, self._best = is_best, sign * value if is_best else self._best

    def on_epoch_complete(self, state: TrainingState) -> None:
        """Save, if it is time: now all callbacks have the state from which the run goes on.

        Parameters
        ----------
        state : TrainingState
        """
        if self._is_due:
            state.checkpoint._save_checkpoint(self._path(state))
            self._last_save = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """The best value, for a resumed run.

        Returns
        -------
        dict
        """
        return {"best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare with the best value of the saved run.

        Parameters
        ----------
        state : dict
        """
        self._best = state["best"]

    def _path(self, state: TrainingState) -> str:
        """The file for this epoch; ValueError where the text cannot be formatted."""
        try:
            return os.fspath(self.path).format(epoch=state.epoch, loss=state.loss, score=state.validation_score)
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(
                f"path={os.fspath(self.path)!r} of Checkpoint cannot be formatted with epoch={state.epoch}, "
                f"loss={state.loss:g} and score={state.validation_score}: {error!r}. Double the braces that are to "
                "stay; score needs a validation set."
            ) from error
