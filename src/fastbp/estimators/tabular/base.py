"""What the tabular classifier and the tabular regressor share.

The data flow of a fit::

    fit -> _fit: validate, encode the table (`TableEncoder`) and the targets
        -> members (`members.py`): ordinary estimators, trained at the same time; each gives a model after each
           cycle of its schedule
        -> `combination.py`: weights and temperature from the out-of-bag rows
        -> attributes

A fit trains a copy of the estimator, which takes over its attributes when all is done: see `Attempt`.
"""

from math import inf
from time import perf_counter
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from fastbp.compatibility import BaseEstimator, checked_sample_weight
from fastbp.estimators.attempt import Attempt, with_attributes
from fastbp.estimators.inputs import checked_hidden_layer_sizes
from fastbp.estimators.many import in_threads
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.slim import slim
from fastbp.estimators.tabular.encoder import TableEncoder
from fastbp.estimators.tabular.fit_batches import TabularFitBatchesMixin
from fastbp.estimators.tabular.folds import out_of_bag_rows
from fastbp.estimators.tabular.importances import permutation_importances, rows_to_permute
from fastbp.estimators.tabular.members import columns_of, layers_of, model_of
from fastbp.estimators.tabular.out_of_bag import Fold, OutOfBag, Rows, models_of
from fastbp.estimators.tabular.parameters import TabularParameters
from fastbp.estimators.tabular.presets import PRESETS, members_of, of_rows, total_epochs
from fastbp.estimators.tabular.progress import MemberLog
from fastbp.estimators.tabular.targets import WEIGHTS_ARE_ZERO
from fastbp.estimators.tabular.time_plan import SHARE_FOR_TRAINING, Budget, planned, seconds_of_an_epoch
from fastbp.estimators.validation import naming
from fastbp.initializers import legacy_generator
from fastbp.threads import available_threads

#: Parameters that take the place of fields of `Cycle`
OVERRIDES = (
    "hidden_layer_sizes",
    "activation",
    "learning_rate_init",
    "batch_size",
    "dropout",
    "weight_decay",
    "n_bins",
    "embedding_width",
)
#: Share of the epochs without improvement after which a member with early stopping ends
PATIENCE = 0.25
#: Seeds of members are below it
SEED_LIMIT = 2**31 - 1

WHY_NO_PARTIAL_FIT = (
    "has no partial_fit: medians, bins and levels are learned before training begins, and the schedules need the "
    "number of steps. Rows that do not fit into memory are for fit_batches; fastbp.MLPClassifier and "
    "fastbp.MLPRegressor have partial_fit."
)


class BaseTabularMLP(TabularFitBatchesMixin, TabularParameters, BaseEstimator):
    """Base of TabularMLPClassifier and TabularMLPRegressor; not to be used itself."""

    # What a fit leaves
    estimators_: list[Any]
    estimator_weights_: NDArray[np.float64]
    oob_score_: float
    feature_importances_: NDArray[np.float64]
    is_categorical_: NDArray[np.bool_]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    # What the two estimators differ in
    #
    # _kind                                         key of PRESETS; may depend on the targets
    # _model_class                                  MLPClassifier or MLPRegressor
    # _overrides                                    parameters that take the place of fields of `Cycle`
    # _learn_targets(y)                             note what the targets are
    # _new_summary()                                learns about the targets of one block after the other
    # _learn_summaries(all, weighted, classes)      `_learn_targets` of the summaries of all rows and of those with a
    #                                               weight; -> how many rows to train on, and the weights of the classes
    # _encode(y) -> targets                         what the members are trained on
    # _weighted(y, sample_weight) -> weights        with the weights of the classes
    # _kept_rows(y, weight) -> ndarray of bool      which rows to fit on, where some have the weight zero
    # _classes_of(targets)                          what the out-of-bag rows are stratified by, or None
    # _model_params(cycle) -> dict                  parameters of a model
    # _model_output(model, X)                       (n, n_outputs) of one model
    # _jacobian_of(number, X)                       of what a model predicts, of shape (n, n_outputs, n_features)
    # _forget_calibration(n_models)                 as without out-of-bag rows
    # _weights_of_candidates(predictions, targets, sample_weight) -> weights of the candidates
    # _calibrate(predictions, targets, sample_weight)   learn from the combined out-of-bag predictions
    # _score_encoded(predictions, targets, sample_weight) -> float

    def _fit(self, X, y, sample_weight, given):
        given.check_complete()
        begin = perf_counter()
        with Attempt(self, incremental=False) as attempt:
            attempt.model._train(attempt.model._rows_of(X, y, sample_weight), given, begin)
        return self

    def _rows_of(self, X, y, sample_weight):
        """Learn the columns of a table and the targets. Returns the Rows to train on."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        self._forget_columns()
        self._encoder, X = TableEncoder.fit_transform(X, self, categorical_features=self.categorical_features)
        self.is_categorical_ = self._encoder.is_categorical
        y = self._check_y(y, X)
        weight = self._checked_weight(y, sample_weight, X)
        if weight is not None and not weight.all():
            kept = self._kept_rows(y, weight)
            X, y, weight = X[kept], y[kept], weight[kept]
        self._learn_targets(y)
        return Rows(X, self._encode(y), weight)

    def _forget_columns(self) -> None:
        """Forget the columns of an earlier fit."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)

    def _train(self, rows, given, begin=None):
        """Train the members on Rows, of which the columns and the targets are known; on the copy of the estimator that
        takes the attributes. `begin` is when the fit began, for a time budget."""
        validation = self._given_rows(given) if given else None
        columns = columns_of(self._encoder, rows)
        rng = legacy_generator(self.random_state)
        preset = PRESETS[self._kind][self.preset]
        cycles, n_members = self._members(preset, rows.n_rows)
        budget = Budget()
        if self.time_budget is not None:
            cycles, n_members, budget = self._within_budget(cycles, n_members, rows, columns, begin)
        seeds = rng.randint(SEED_LIMIT, size=n_members)
        share = self.oob_fraction
        if validation is not None:
            share = 0
        elif share is None:
            share = of_rows(preset.oob_fractions, rows.n_rows)
        bags = self._bags(rows, n_members, rows.oob_share(share), rng)
        models = self._trained(cycles, rows, columns, bags, seeds, validation, budget)
        # the models after the same cycle are a candidate for a weight of its own
        candidate_of_model = [cycle for of_member in models for cycle in range(len(of_member))]
        if validation is None:
            parts = [rows.part(bag) for bag in bags]
            fold_of_model = [number for number, of_member in enumerate(models) for _ in of_member]
        else:
            parts, fold_of_model = [validation], [0] * len(candidate_of_model)
        folds = [Fold(part, models_of(number, fold_of_model, candidate_of_model)) for number, part in enumerate(parts)]
        self.estimators_ = [model for of_member in models for model in of_member]
        n_epochs = max(sum(model.n_iter_ for model in of_member) for of_member in models)
        self._combine(OutOfBag(folds), candidate_of_model, n_epochs * rows.n_rows, rng)

    # Data

    def _checked_weight(self, y, sample_weight, X):
        """The sample weights, times those of the classes; None where all rows count alike."""
        if sample_weight is not None:
            check_numeric("sample_weight", sample_weight)
            sample_weight = checked_sample_weight(sample_weight, X, ensure_non_negative=True)
        weight = self._weighted(y, sample_weight)
        if weight is not None and not weight.any():
            raise ValueError(WEIGHTS_ARE_ZERO)
        return weight

    def _given_rows(self, given):
        """The rows that `fit` was given to validate on, which are out of bag for all members."""
        with naming("X_val and y_val"):
            X = self._encoded(given.X_val)
            y = self._check_y(given.y_val, X)
            targets = self._encode(y)
        with naming("sample_weight_val"):
            return Rows(X, targets, self._checked_weight(y, given.sample_weight_val, X))

    def _bags(self, rows, n_folds, share, rng):
        """The rows that are out of bag in each fold. Rows of weight zero are in none: they would tell nothing."""
        counted = np.arange(len(rows.X)) if rows.sample_weight is None else np.flatnonzero(rows.sample_weight)
        classes = self._classes_of(rows.targets[counted])
        return [counted[bag] for bag in out_of_bag_rows(len(counted), n_folds, share, classes, rng)]

    # Members

    def _members(self, preset, n_rows):
        """The cycles of the members that the parameters ask for, and the number of members."""
        overrides = {name: getattr(self, name) for name in self._overrides if getattr(self, name) is not None}
        if "hidden_layer_sizes" in overrides:
            overrides["hidden_layer_sizes"] = tuple(checked_hidden_layer_sizes(overrides["hidden_layer_sizes"]))
        return members_of(preset, n_rows, self.n_ensemble, self.epochs, overrides)

    def _within_budget(self, cycles, n_members, rows, columns, begin):
        """The members that fit into the time budget: their cycles, their number, and the time of their training."""
        probe = self._model(cycles[0], columns, len(rows.X), 0)
        seconds = seconds_of_an_epoch(probe, rows.X, rows.targets)
        now, n_threads = perf_counter(), available_threads(self.n_threads)
        left = SHARE_FOR_TRAINING * max(0.0, begin + self.time_budget - now)
        cycles, n_members = planned(cycles, n_members, left / seconds, n_threads)
        return cycles, n_members, Budget(now + left, seconds / (n_threads if n_members == 1 else 1))

    def _model(self, cycle, columns, n_rows, seed, callbacks=(), init_from=None, early_stopping=False):
        """An estimator for a cycle of a member, not fitted; with `callbacks` besides those of the user."""
        own = self.callbacks if isinstance(self.callbacks, (list, tuple)) else [self.callbacks]
        callbacks = [one for one in [*own, *callbacks] if one is not None]
        model = model_of(
            self._model_class,
            cycle,
            layers_of(cycle, columns, self.numeric_embedding),
            n_rows,
            random_state=int(seed),
            callbacks=callbacks or None,
            n_threads=self.n_threads,
            n_iter_no_change=max(1, round(PATIENCE * cycle.epochs)) if early_stopping else inf,
            early_stopping=early_stopping,
            **self._model_params(cycle),
        )
        return clone(model).set_params(init_from=init_from)  # with callbacks of its own

    def _trained(self, cycles, rows, columns, bags, seeds, validation, budget):
        """The fitted models of each member, one after each of its cycles: a list of lists. `validation` are the rows
        that take the place of the out-of-bag rows, or None. With a time budget, members may lack the last models."""
        trained = [[] for _ in seeds]
        log = MemberLog(self, len(seeds) * len(cycles), len(seeds) * total_epochs(cycles)) if self.verbose else None

        def train(number) -> None:
            models = trained[number]
            models.clear()
            own = rows.without(bags[number])
            bag = rows.part(bags[number]) if validation is None else validation
            stops = self.early_stopping and len(bag.X) > 0
            held_out = {"X_val": bag.X, "y_val": bag.targets, "sample_weight_val": bag.sample_weight} if stops else {}
            for i in range(len(cycles)):
                if not budget.has_time_for(cycles[i:], is_first=i == 0):
                    return
                deadline, begin = budget.deadline(), perf_counter()
                model = self._model(
                    budget.fitting(cycles[i:]),
                    columns,
                    own.n_rows,
                    (int(seeds[number]) + i) % SEED_LIMIT,
                    callbacks=(deadline, log),
                    init_from=models[-1] if models else None,
                    early_stopping=stops,
                )
                own.train(model, **held_out)
                if deadline is not None and deadline.has_passed:
                    return
                budget.end_cycle(perf_counter() - begin, model.n_iter_)
                models.append(slim(model).set_params(init_from=None, callbacks=None))

        try:
            if len(seeds) == 1 or rows.trains_in_turn:
                for number in range(len(seeds)):
                    train(number)  # by all threads
            else:
                in_threads(train, range(len(seeds)), available_threads(self.n_threads))
        finally:
            if log is not None:
                log.close()
        return trained

    # What is learned from out-of-bag rows

    def _combine(self, out_of_bag, candidate_of_model, rows_trained, rng):
        """Weights of the models, calibration, score, importances. Models without weight are left out."""
        counts = np.bincount(candidate_of_model)
        # without out-of-bag rows, only the models at the end of the training count
        of_candidates = np.eye(len(counts))[-1]
        self._forget_calibration(len(candidate_of_model))
        self.oob_score_, self.feature_importances_ = np.nan, np.full(self.n_features_in_, np.nan)
        if len(out_of_bag):
            predictions = out_of_bag.predictions(self._output_of)
            targets, weight = out_of_bag.targets, out_of_bag.sample_weight
            predictions = self._calibrate_candidates(predictions, candidate_of_model, targets, weight)
            of_candidates = self._weights_of_candidates(predictions, targets, weight)
            combined = np.tensordot(of_candidates, predictions, 1)
            self._calibrate(combined, targets, weight)
            self.oob_score_ = self._score_encoded(combined, targets, weight)
            few = out_of_bag.head(rows_to_permute(self.n_features_in_, rows_trained))
            self.feature_importances_ = permutation_importances(
                few,
                lambda rows: np.tensordot(of_candidates, rows.predictions(self._output_of), 1),
                lambda combined: self._score_encoded(combined, few.targets, few.sample_weight),
                rng,
            )
        weights = (of_candidates / counts)[candidate_of_model]
        self._keep(weights > 0)
        self.estimator_weights_ = weights[weights > 0]

    def _keep(self, is_kept) -> None:
        """Leave out the other models."""
        self.estimators_ = [model for model, keep in zip(self.estimators_, is_kept, strict=True) if keep]

    def _output_of(self, number, X):
        """What a model predicts for encoded rows, of shape (n, n_outputs), calibrated."""
        return self._calibrated(number, self._model_output(self.estimators_[number], X))

    def _calibrate_candidates(self, predictions, candidate_of_model, targets, sample_weight):
        """The out-of-bag predictions of the candidates, calibrated; of numbers there is nothing to calibrate."""
        return predictions

    def _calibrated(self, number, output):
        """What a model predicts, calibrated."""
        return output

    # Prediction

    def _snapshot(self):
        """The estimator, with the attributes it has now: a fit that ends meanwhile gives it new ones, all at once."""
        check_is_fitted(self)
        return with_attributes(self, vars(self))

    def _encoded(self, X):
        """The rows of a table as the models read them."""
        return self._encoder.transform(X, self)

    def _combined(self, X):
        """The weighted mean of what the models predict for encoded rows, of shape (n, n_outputs)."""
        total = 0.0
        for number, weight in enumerate(self.estimator_weights_):
            total = total + weight * self._output_of(number, X).astype(np.float64)
        return total

    def _jacobian(self, X):
        """The weighted mean of the Jacobians of what the models predict for encoded rows, by the columns of the table,
        of shape (n, n_outputs, n_features); NaN for categories."""
        total = 0.0
        for number, weight in enumerate(self.estimator_weights_):
            total = total + weight * self._jacobian_of(number, X).astype(np.float64)
        return total * self._encoder.slopes

    @property
    def partial_fit(self) -> Never:
        """Not available: the error says why."""
        raise AttributeError(f"{type(self).__name__} {WHY_NO_PARTIAL_FIT}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
