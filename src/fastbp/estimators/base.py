"""What the classifier and the regressor share: parameters, validation, and the way from X and y to a trained network.

The data flow of a fit::

    fit -> _fit -> _train: validate, encode the targets   (scikit-learn's validation)
        -> _train_stochastic: Trainer.run             (fastbp.training)
        -> _train_lbfgs: minimize_lbfgs
        -> attributes

A fit trains a copy of the estimator, which takes over its attributes when training is over: see `Attempt`.

Differences from scikit-learn that are decisions, each named in docs/differences.md: a diverging run stops at once,
Ctrl-C reaches the caller, negative sample weights and negative Poisson targets are refused, and successive partial_fit
calls with an int random_state go on with one generator.
"""

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from operator import is_
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from fastbp.compatibility import CallbackSupportMixin, check_optimize_result
from fastbp.data import check_weight_scale, make_data
from fastbp.estimators.attempt import Attempt, with_attributes
from fastbp.estimators.checkpoints import checksums_of, continue_run, write_checkpoint
from fastbp.estimators.cloning import check_clones
from fastbp.estimators.construction import (
    adapt_to_data,
    hidden_layers_of,
    layer_parameters,
    network_to_train,
    new_network,
)
from fastbp.estimators.fit_batches import FitBatchesMixin
from fastbp.estimators.fitted_network import fitted_network, note_activations
from fastbp.estimators.inputs import (
    accepts_missing,
    check_dense,
    check_mixup,
    knows_no_names,
    needs_no_validation,
    validated_X,
)
from fastbp.estimators.observers import callbacks_of, checkpoint_so_far, estimator_so_far
from fastbp.estimators.parameters import (
    MLPParameters,
    check_has_no_end,
    end_is_needed_by,
    is_stochastic,
    prints_lines,
    schedule_of,
    update_options_of,
)
from fastbp.estimators.resumption import (
    average_of,
    factors_of,
    forget_training,
    history_of,
    optimizer_state_of,
    patience_of,
    set_training_attributes,
)
from fastbp.estimators.rows import RowsInMemory
from fastbp.estimators.sklearn_callbacks import sklearn_callbacks_of
from fastbp.estimators.transfer import check_frozen_layers, take_over
from fastbp.estimators.validation import GivenRows, stopping_rule
from fastbp.estimators.weights import (
    OWN_WEIGHTS,
    why_not_finite,
    with_settings,
)
from fastbp.initializers import legacy_generator
from fastbp.kernels.predictor import all_finite
from fastbp.layers import Dense
from fastbp.losses import Loss, as_loss
from fastbp.mapped import as_given, loaded
from fastbp.network import Network
from fastbp.parametrized import Parametrized
from fastbp.training import Evaluations, Run, Trainer, TrainingState, minimize_lbfgs
from fastbp.versions import note_version, warn_if_other_version

#: Values that loss_curve_ keeps under partial_fit, where it would otherwise grow without end.
LOSS_CURVE_LIMIT = 10_000
# A prediction of more rows takes so long that checks take no noticeable part of it.
MOST_PLAIN_ROWS = 1024

NO_VALIDATION = GivenRows()


class BaseMLP(FitBatchesMixin, CallbackSupportMixin, MLPParameters):
    """Base of MLPClassifier and MLPRegressor; not to be used itself."""

    # What a fit leaves
    coefs_: list[NDArray[Any]]
    intercepts_: list[NDArray[Any]]
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    validation_loss_curve_: list[float] | None
    history_: dict[str, list[float]]
    best_iteration_: int | None
    t_: int
    n_iter_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    loss: str | Loss | Callable[..., Any]  # a field of the two estimators

    _trainer = Trainer  # makes the steps of a stochastic solver; `find_learning_rate` has another

    # What the two estimators differ in
    #
    # _check(X, y, reset) -> X, y                              checked input
    # _weighted_by_class(y, sample_weight, y_train, may_be_zero)  sample_weight times the weights of the classes
    # _learn_targets(y, incremental, continues, labels)        note what the targets are; `labels`: those of all rows
    # _encode(y, dtype) -> targets                             what the kernels take for them
    # _output_activation()                                     the name that 'auto' stands for
    # _check_targets(y)                                        ValueError where a fitted model cannot encode them
    # _stratified(targets)                                     what the validation split is stratified by, or None
    # _untrained_classes(targets, train)                       the classes without a row in `train`
    # _score_is_constant(y)                                    whether no prediction changes the score on these targets
    # _decode(output)                                          predictions from the network's output
    # _scored(predictions), _true_values(y)                    what of them is compared for the score
    # _report_not_finite(output)                               error or warning for an output that is not finite
    # _score_function                                          (y, predictions, sample_weight=) -> float

    def _fit(self, rows, incremental=False, prepare=None, given=NO_VALIDATION, resume_from=None):
        """Train on rows (`RowsInMemory` or `StreamedRows`); `incremental`: one epoch, going on with the optimizer's
        state.

        `prepare` is called first, where a failure undoes what it does. `given` is a validation set. `resume_from` is
        a checkpoint, or its path.
        """
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it has no rows to hold out")
        if incremental:
            check_has_no_end(self)
        given.check(self)
        hidden = hidden_layers_of(self)
        check_frozen_layers(self)
        observer = None if incremental else sklearn_callbacks_of(self, rows.y)
        with Attempt(self, incremental, observer) as attempt:
            if resume_from is not None:
                attempt.run = continue_run(attempt.model, resume_from)
            warn_if_not_converged = attempt.model._train(attempt, rows, hidden, incremental, prepare, given)
        if observer is not None:
            observer.finish()
        for message, category in attempt.warnings:
            warnings.warn(message, category, stacklevel=5 if incremental else 4)
        warn_if_not_converged()
        return self

    def _train(self, attempt, rows, hidden, incremental, prepare, given):
        """`_fit` on the copy of the estimator that `attempt` holds. Returns what is left to do: to warn if training
        did not converge."""
        vars(self).pop("_run", None)
        continues = self.warm_start or incremental or attempt.run is not None
        first_pass = not (hasattr(self, "coefs_") and continues)
        if not first_pass:
            self._check_layers_are_known()
        if vars(self).pop("_is_slim", False) and incremental:
            attempt.warn(
                "This estimator was made by fastbp.slim: partial_fit begins with a new optimizer and a new generator."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # of conversions that are checked
            if prepare is not None:
                prepare(self)
            X, y, sample_weight = rows.check(self, reset=first_pass)
            self._learn_targets(y, incremental, continues, rows.labels)
            targets = self._encode(y, X.dtype)
        sample_weight = self._weighted_by_class(y, sample_weight, rows.labels or y, may_be_zero=rows.is_part)
        if sample_weight is not None and (sample_weight.any() or not rows.is_part):
            check_weight_scale(sample_weight, X.dtype)
        self._fitted_loss = as_loss(self._network_loss)
        if self.mixup_alpha:
            check_mixup(self, X)
        if self.input_dropout:
            check_dense("input_dropout", self.input_dropout, X)
        self._n_units = self._count_units(targets)
        self.n_outputs_ = self._fitted_loss.predictions(np.zeros((1, self._n_units))).shape[1]
        self.out_activation_ = self._output_activation()
        rng, lock = self._generator(incremental, attempt.run)
        if first_pass:
            vars(self).pop("_split_generator", None)
            forget_training(self)
            network = new_network(self, hidden, X.shape[1], self.dtype or X.dtype, rng)
            self.n_layers_, self.t_ = len(network.layer_sizes), 0
            is_complete = self.init_from is not None and take_over(network, self.init_from)
        else:
            network = network_to_train(self, hidden)
            if self.dtype is not None:
                network = network.astype(self.dtype)
        self._layer_parameters = layer_parameters(self)
        data = make_data(X, targets, sample_weight, network.n_targets, network.dtype)
        state = TrainingState(network, 1 if incremental else self.max_iter, as_given(X), targets, sample_weight)
        callbacks = callbacks_of(self, state, attempt.observer)
        is_new = first_pass and not is_complete
        if self.solver == "lbfgs":
            if network.has_dropout:
                raise ValueError(
                    "solver='lbfgs' cannot train with dropout: the loss would be another one at each evaluation; use a "
                    "stochastic solver, such as 'adam', or no dropout"
                )
            if network.precision == "bfloat16":
                raise ValueError(
                    "solver='lbfgs' cannot train with dtype='bfloat16': its line search needs more precise gradients; "
                    "use dtype='float32', or a stochastic solver, such as 'adam'"
                )
            if is_new:
                adapt_to_data(self, network, X, None, sample_weight, rng)
            warn_if_not_converged = self._train_lbfgs(network, data, rng, callbacks, attempt)
        else:
            history = history_of(self, first_pass, self.early_stopping or bool(given))
            patience = patience_of(self, incremental and not first_pass)
            numbers, stopping = stopping_rule(
                self, network, patience, (X, y, targets, sample_weight), rows.labels or y, given, rng, attempt
            )
            if is_new:
                adapt_to_data(self, network, X, numbers, sample_weight, rng)
            batch_size = self._batch_size(rows.n_trained(numbers), incremental, attempt)
            epochs = rows.epochs(data, numbers, batch_size, rng if self.shuffle else None, lock)
            warn_if_not_converged = self._train_stochastic(
                network, epochs, history, stopping, rng, incremental, not first_pass, callbacks, attempt
            )
        if not all_finite(network.params):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        return warn_if_not_converged

    @property
    def _network_loss(self):
        """The loss as `Network` takes it."""
        return self.loss

    @property
    def _loss_scale(self):
        """float: the factor of the data's share in the losses that are recorded."""
        return as_loss(self._network_loss).recorded_scale(self._n_units)

    def _count_units(self, targets):
        """Units of the output layer: a column each, or a class each."""
        return len(self.classes_) if targets.ndim == 1 else targets.shape[1]

    def _generator(self, incremental, run=None):
        """The RandomState to draw from, and its lock if others may draw from it at the same time."""
        if run is not None and self.random_state is None:  # NumPy's global one is left alone
            self._random_state, self._seed = deepcopy(run["random_state"]), None
            return self._random_state, None
        private = isinstance(self.random_state, Integral)
        if not (private and incremental and getattr(self, "_seed", None) == self.random_state):
            self._random_state = legacy_generator(self.random_state)
            self._seed = self.random_state if private else None
        return self._random_state, None if private else self._random_state._bit_generator.lock

    # The network, and the weights in coefs_ and intercepts_

    def _adopt(self, network) -> None:
        """Make `network` the fitted one: coefs_ and intercepts_ are views into its parameters."""
        self._network = network
        note_activations(self, network)
        self.coefs_, self.intercepts_ = list(network.coefs), list(network.intercepts)

    def _fitted_network(self):
        """The network with the weights that coefs_ and intercepts_ hold now, and the activation that is set now."""
        return fitted_network(self)

    def _missing_attributes(self):
        """What a fit notes of the layers, and is not there."""
        return [name for name in ("n_features_in_", "n_layers_", "n_outputs_") if not hasattr(self, name)]

    def _check_layers_are_known(self) -> None:
        """ValueError where coefs_ were assigned to an estimator that was never fitted: it does not know its layers."""
        missing = self._missing_attributes()
        if missing:
            raise ValueError(
                f"coefs_ and intercepts_ were assigned to this {type(self).__name__} before any fit: {missing[0]} is "
                f"not known. {OWN_WEIGHTS}"
            )

    # Training

    def _train_lbfgs(self, network, data, rng, callbacks, attempt):
        """L-BFGS from the network's weights. Returns a function that warns if it did not converge."""
        state = callbacks.state
        is_logged = callbacks.save_run or attempt.run is not None
        evaluations = Evaluations(network.params.astype(np.float64), callbacks.save_run) if is_logged else None
        run = Run(network, rng, checksums_of(state), state.history, callbacks, evaluations=evaluations)
        self._begin(run, state, attempt, False)
        start = network.params.astype(np.float64) if evaluations is None else evaluations.start
        progress = OptimizeResult(x=start, fun=np.nan, loss=np.nan, nit=0)
        stopped = False
        try:
            with callbacks:
                stopped = minimize_lbfgs(
                    network,
                    data,
                    progress,
                    loss_scale=self._loss_scale,
                    max_iter=self.max_iter,
                    max_fun=self.max_fun,
                    tol=self.tol,
                    callbacks=callbacks,
                    evaluations=evaluations,
                )
        finally:
            state.make_checkpoint = None
            self._adopt(network)
            self.n_iter_, self.loss_, self._average = min(progress.nit, self.max_iter), progress.loss, None
        if not np.isfinite(progress.fun):
            raise ValueError(
                f"The loss is {progress.fun} after {progress.nit} iterations of L-BFGS: too large a number for "
                f"{network.dtype}. Scale X and y."
            )
        return lambda: stopped or check_optimize_result("lbfgs", progress, self.max_iter)

    def _begin(self, run, state, attempt, incremental) -> None:
        """Have the callbacks see a run, and go on with the one that is resumed.

        When it is over, ``state.make_checkpoint`` has to be None: no cycle of references may keep the arrays.
        """
        if attempt.run is not None:
            run.check(attempt.run)
            n_epochs = attempt.run["history"]["n_iter"]
            if n_epochs > self.max_iter:
                raise ValueError(
                    f"resume_from: max_iter={self.max_iter} is less than the {n_epochs} epochs of the checkpoint"
                )
            run.load_state_dict(attempt.run)
        state.make_estimator = partial(estimator_so_far, self, replace(run, callbacks=None, trainer=None, epochs=None))
        state.make_checkpoint = partial(checkpoint_so_far, self, run, incremental)
        attempt.history = run.history

    def _loss_grad_lbfgs(self, packed_coef_inter, X, y, sample_weight=None, *buffers):
        """Loss and gradient at a flat parameter vector (scikit-learn's test suite calls this)."""
        network = self.network_.copy()
        network.params = packed_coef_inter
        data = make_data(X, np.asarray(y), sample_weight, network.n_targets, network.dtype)
        return network.objective(data, self._loss_scale)

    def _train_stochastic(self, network, epochs, history, stopping, rng, incremental, continues, callbacks, attempt):
        """Epochs of gradient descent. Returns a function that warns if they were too few."""
        optimizer, schedule, state = optimizer_state_of(self, network, incremental), schedule_of(self), callbacks.state
        if (network.has_dropout or self.mixup_alpha) and optimizer.seed is None:
            optimizer.seed = int(rng.randint(np.iinfo(np.int64).max, dtype=np.int64))
        average = average_of(self, network, incremental, continues)
        trainer = self._trainer(
            network,
            optimizer,
            schedule,
            history,
            stopping,
            learning_rate_init=float(self.learning_rate_init),
            loss_scale=self._loss_scale,
            verbose=prints_lines(self),
            callbacks=callbacks,
            update_options=update_options_of(self),
            average=average,
            mixup_alpha=float(self.mixup_alpha),
            **factors_of(self, schedule, state.max_iter, epochs.n_steps),
        )
        state.history, state.optimizer, state.train_rows = history, optimizer, epochs.rows
        checksums = checksums_of(state, stopping.validation)
        if not epochs.data_stays and (callbacks or attempt.run is not None):
            checksums.state_dict()  # before other rows take the place of these
        run = Run(
            network,
            rng,
            checksums,
            history,
            callbacks,
            epochs.rows,
            optimizer,
            average,
            stopping,
            trainer,
            epochs=epochs,
        )
        self._begin(run, state, attempt, incremental)
        stopped = False
        try:
            with callbacks:
                if attempt.run is not None:
                    run.undo_edits(attempt.run)
                stopped = trainer.run(epochs, state.max_iter)
        finally:
            state.make_checkpoint = None
            self._adopt(network)
            set_training_attributes(self, optimizer, history, stopping, average)
        choice = stopping.warning(stopped, self.max_iter)
        if choice:
            attempt.warn(choice, RuntimeWarning)
        message = trainer.warning
        if not message and not np.isfinite(self.loss_):
            message = (
                f"The loss of epoch {history.n_iter} is {self.loss_}: too large a number for {network.dtype}. Scale X "
                "and y, or lower learning_rate_init."
            )
        elif not stopped and not incremental and not choice and end_is_needed_by(self) is None:
            message = (
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet."
            )
        return lambda: message and warnings.warn(message, ConvergenceWarning, stacklevel=5)

    def _batch_size(self, n_rows, incremental, attempt):
        """Rows of a batch. What does not fit is clipped, with a warning: in partial_fit once for a batch_size."""
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows and not (incremental and getattr(self, "_clipped", None) == self.batch_size):
            self._clipped = self.batch_size
            attempt.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped: "
                f"batch_size={self.batch_size}, sample size {n_rows}."
            )
        return min(int(self.batch_size), n_rows)  # a NumPy integer of 8 bits would overflow in products

    # Looking inside

    @property
    def network_(self) -> Network:
        """Network: the fitted one, with the `loss`, `alpha`, `l1` and `n_threads` set now. To edit its `params` is
        to edit ``coefs_``, unless arrays of your own were assigned there, or another `activation`: then it holds
        copies. Each `fit` and `partial_fit` makes a new one.
        """
        model = self._snapshot()
        check_is_fitted(model)
        model._check_layers_are_known()
        return with_settings(model._fitted_network(), model._network_loss, model.alpha, model.l1, model.n_threads)

    @property
    def raw_params_(self) -> NDArray[Any] | None:
        """ndarray of shape (n_params,) or None: the weights of which `coefs_` and `intercepts_` are averages, after the
        last step, laid out as ``network_.params``. `partial_fit` and `warm_start` continue from them, unless `coefs_`
        were edited. None without `ema_decay` and `swa_start`. With `early_stopping`, those of the last epoch: unless
        it is the best one, training continues from `coefs_`.
        """
        check_is_fitted(self)
        average = getattr(self, "_average", None)
        return None if average is None else average.raw

    def _network_and_data(self, X, y=None):
        """(network, X, targets): the fitted network, and data as its methods take them."""
        network = self.network_
        if y is None:
            return network, loaded(validated_X(self, X)), None
        X, y = self._check(X, y, reset=False)
        self._check_targets(y)
        return network, loaded(X), self._encode(y, X.dtype)

    # Prediction

    def _snapshot(self):
        """The estimator, with the attributes it has now: a fit that ends meanwhile gives it new ones, all at once."""
        return with_attributes(self, vars(self))

    def _forward(self, X, raw=False):
        """The network's output for rows of X, validated; `raw`: before the output activation."""
        output = self._forward_plain(X, raw)
        if output is not None:
            return output
        if not needs_no_validation(self, X):
            check_is_fitted(self)
            self._check_layers_are_known()
            X = validated_X(self, X)
        output = self._network_for(X).forward_unchecked(X, raw)
        if not all_finite(output):
            self._report_not_finite(output)
        return output

    def _forward_plain(self, X, raw):
        """The same for a few rows of an array that is as the network reads it; None: X takes the long way."""
        if type(X) is not np.ndarray or len(X.shape) != 2 or len(X) > MOST_PLAIN_ROWS or not knows_no_names(self):
            return None
        network = fitted_network(self)
        return network.forward_plain(X, raw) if self.n_threads == network.n_threads else None

    def _why_not_finite(self):
        """Why the output for a finite X is not finite: part of a message."""
        return why_not_finite(self)

    def _network_for(self, X):
        """The fitted network, in the dtype in which predictions for a validated X are computed."""
        network = self._fitted_network()
        network = with_settings(network, network.loss, network.alpha, network.l1, self.n_threads)
        if X.dtype == np.float64 != network.dtype and self.dtype is None:
            network = network.astype(np.float64)
        return network

    def _check_solver(self) -> bool:
        if not is_stochastic(self.solver):
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def _check_changed_parameters(self) -> None:
        """Check the parameters if one was set since the last call, also one of an object among them: scikit-learn does
        so in the first call only."""
        values = [getattr(self, name) for name in self._parameter_constraints]
        for part in [value for value in values if isinstance(value, Parametrized)]:
            values += part.get_params(deep=False).values()
        checked = vars(self).get("_checked_values", ())
        if len(checked) != len(values) or not all(map(is_, checked, values)):
            self._validate_params()
            self._checked_values = values

    def _partial_fit(self, X, y, sample_weight, prepare=None):
        self._check_changed_parameters()
        self._fit(RowsInMemory(X, y, sample_weight), incremental=True, prepare=prepare)
        for curve in self.history_.values():  # loss_curve_ is one of them
            del curve[:-LOSS_CURVE_LIMIT]
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        layers = self.layers if isinstance(self.layers, (list, tuple)) else ()
        # the parameters are not checked yet
        tags.input_tags.allow_nan = accepts_missing(self)
        is_for_dense = any(isinstance(rate, Real) and rate for rate in (self.input_dropout, self.mixup_alpha))
        tags.input_tags.sparse = all(isinstance(layer, Dense) for layer in layers[:1]) and not is_for_dense
        return tags

    def _save_checkpoint(self, path) -> None:
        """Save this estimator, which has the state of a run, for ``fit(..., resume_from=path)``."""
        write_checkpoint(self, path)

    # Copies

    def __sklearn_clone__(self) -> Self:
        try:
            other = super().__sklearn_clone__()
        except Exception:
            check_clones(self.callbacks)
            raise
        other.init_from = self.init_from  # a clone of it would not be fitted
        return other

    def __getstate__(self) -> dict[str, Any]:
        # the network's layers and its parameters as one array, in place of the network and the views into the array
        model = with_attributes(self, dict(super().__getstate__()))
        vars(model).pop("_checked_values", None)
        if hasattr(model, "coefs_") and not model._missing_attributes():
            network = model._fitted_network()
            # with the settings of the fit: those of the estimator may have been changed since, and not fit the layers
            arguments = {**network.definition, **network.settings, "dtype": network.precision}
            model._network_state = arguments, network.params
            del model.coefs_, model.intercepts_
            vars(model).pop("_network", None)
        return note_version(vars(model))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(warn_if_other_version(state, type(self).__name__))
        if "_network_state" in vars(self):
            arguments, params = vars(self).pop("_network_state")
            # version 0.1 did not name the dtype
            network = Network(**{"dtype": params.dtype, **arguments}, initializer=None)
            network.params = params
            self._adopt(network)
        elif hasattr(self, "coefs_") and not self._missing_attributes():  # a pickle of an older version
            self._fitted_loss, self._n_units = as_loss(self.loss), self.n_outputs_
            self._adopt(self._fitted_network())
