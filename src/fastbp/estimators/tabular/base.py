"""What the tabular classifier and the tabular regressor share.

The data flow of a fit::

    fit -> _fit: validate, encode the table (`TableEncoder`) and the targets
        -> members (`members.py`): ordinary estimators, trained at the same time
        -> `combination.py`: weights and temperature from the out-of-bag rows
        -> attributes

A fit trains a copy of the estimator, which takes over its attributes when all is done: see `Attempt`.
"""

import warnings
from math import inf
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastbp.estimators.attempt import Attempt
from fastbp.estimators.inputs import checked_hidden_layer_sizes
from fastbp.estimators.many import in_threads
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.slim import slim
from fastbp.estimators.tabular.encoder import TableEncoder
from fastbp.estimators.tabular.folds import out_of_bag_rows
from fastbp.estimators.tabular.importances import permutation_importances, rows_to_permute
from fastbp.estimators.tabular.members import layers_of, member_of
from fastbp.estimators.tabular.out_of_bag import Fold, OutOfBag
from fastbp.estimators.tabular.parameters import TabularParameters
from fastbp.estimators.tabular.presets import PRESETS, members_of
from fastbp.estimators.tabular.progress import MemberLog
from fastbp.estimators.tabular.time_plan import planned, seconds_of_an_epoch
from fastbp.estimators.validation import naming
from fastbp.initializers import legacy_generator
from fastbp.threads import available_threads

#: Parameters that take the place of fields of `MemberSettings`
OVERRIDES = (
    "epochs",
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
    "has no partial_fit: medians, bins and levels are learned from all rows before training begins, and the schedules "
    "need the number of steps. Fit on all rows, or on a sample of them; fastbp.MLPClassifier and fastbp.MLPRegressor "
    "have partial_fit."
)


class BaseTabularMLP(TabularParameters, BaseEstimator):
    """Base of TabularMLPClassifier and TabularMLPRegressor; not to be used itself."""

    # What the two estimators differ in
    #
    # _kind                                         key of PRESETS
    # _member_class                                 MLPClassifier or MLPRegressor
    # _learn_targets(y)                             note what the targets are
    # _encode(y) -> targets                         what the members are trained on
    # _weighted(y, sample_weight) -> weights        with the weights of the classes
    # _classes_of(targets)                          what the out-of-bag rows are stratified by, or None
    # _member_params(settings) -> dict              parameters of a member
    # _member_output(member, X)                     (n, n_outputs) of one member
    # _loss(predictions, targets, sample_weight)    what the weights of the members minimize
    # _calibrate(predictions, out_of_bag)           learn from the combined out-of-bag predictions
    # _score_encoded(predictions, targets, sample_weight) -> float

    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val):
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        for name in ("X_val", "y_val"):
            if given[name] is None and any(value is not None for value in given.values()):
                other = next(other for other, value in given.items() if value is not None)
                raise ValueError(f"{other} is provided, but {name} was not provided.")
        with Attempt(self, incremental=False) as attempt:
            attempt.model._train(attempt, X, y, sample_weight, given)
        for message, category in attempt.warnings:
            warnings.warn(message, category, stacklevel=4)
        return self

    def _train(self, attempt, X, y, sample_weight, given):
        """`_fit` on the copy of the estimator that `attempt` holds."""
        begin = perf_counter()
        self._encoder = TableEncoder(self.categorical_features)
        X = self._encoder.fit_transform(X)
        self._note_columns()
        y = self._check_y(y, X)
        self._learn_targets(y)
        targets, sample_weight = self._encode(y), self._checked_weight(y, sample_weight, X)
        rng = legacy_generator(self.random_state)
        settings = self._settings()
        if self.time_budget is not None:
            settings = self._within_budget(settings, X, targets, begin)
        candidates = list(dict.fromkeys(settings))
        self._candidates = [candidates.index(one) for one in settings]
        bags = self._bags(len(settings), len(candidates), targets, given["X_val"] is not None, rng)
        seeds = rng.randint(SEED_LIMIT, size=len(settings))
        self.estimators_ = self._trained_members(settings, X, targets, sample_weight, bags, seeds)
        if given["X_val"] is None:
            folds = self._folds(X, targets, sample_weight, bags, len(candidates))
        else:
            folds = [self._given_fold(given, len(candidates))]
        self._combine(OutOfBag(folds), sum(one.epochs for one in settings) // len(settings) * len(X), rng)

    # Data

    def _note_columns(self):
        """What the encoder has learned of the columns, as scikit-learn's attributes."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            if hasattr(self._encoder, name):
                setattr(self, name, getattr(self._encoder, name))
        self.is_categorical_ = self._encoder.is_categorical_

    def _checked_weight(self, y, sample_weight, X):
        """The sample weights, times those of the classes; None where all rows count alike."""
        if sample_weight is not None:
            check_numeric("sample_weight", sample_weight)
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            if not sample_weight.any():
                raise ValueError("sample_weight is zero for every row: give a row a weight above zero")
        return self._weighted(y, sample_weight)

    def _given_fold(self, given, n_candidates):
        """The rows that `fit` was given to validate on, which are out of bag for all members."""
        with naming("X_val and y_val"):
            X = self._encoder.transform(given["X_val"])
            y = self._check_y(given["y_val"], X)
            targets = self._encode(y)
        with naming("sample_weight_val"):
            weight = self._checked_weight(y, given["sample_weight_val"], X)
        members = [[i for i, one in enumerate(self._candidates) if one == c] for c in range(n_candidates)]
        return Fold(X, targets, weight, members)

    # Members

    def _settings(self):
        """The settings of each member that the parameters ask for."""
        overrides = {name: getattr(self, name) for name in OVERRIDES if getattr(self, name) is not None}
        if "hidden_layer_sizes" in overrides:
            overrides["hidden_layer_sizes"] = tuple(checked_hidden_layer_sizes(overrides["hidden_layer_sizes"]))
        overrides |= self._further_overrides()
        return members_of(PRESETS[self._kind][self.preset], self.n_ensemble, overrides)

    def _further_overrides(self):
        """dict: fields of `MemberSettings` that only one of the two estimators has as parameters."""
        return {}

    def _within_budget(self, settings, X, targets, begin):
        """The settings of the members that fit into the time budget."""
        probe = self._member(settings[0], len(X), 0)
        seconds = seconds_of_an_epoch(probe, X, targets)
        left = self.time_budget - (perf_counter() - begin)
        return planned(settings, left, seconds, available_threads(self.n_threads))

    def _bags(self, n_members, n_candidates, targets, is_given, rng):
        """The rows out of bag for each member; the members of a candidate have different ones."""
        share = 0 if is_given else self.oob_fraction
        n_folds = -(-n_members // n_candidates)
        counts, folds = {}, []
        for candidate in self._candidates:
            folds.append(counts.get(candidate, 0))
            counts[candidate] = folds[-1] + 1
        rows = out_of_bag_rows(len(targets), max(n_folds, *folds, 0) + 1, share, self._classes_of(targets), rng)
        self._fold_of_member = folds
        return [rows[fold] for fold in folds]

    def _folds(self, X, targets, sample_weight, bags, n_candidates):
        """The rows out of bag, and the members that were not trained on them."""
        folds = []
        for number in range(max(self._fold_of_member) + 1):
            members = [[] for _ in range(n_candidates)]
            for member, (candidate, fold) in enumerate(zip(self._candidates, self._fold_of_member, strict=True)):
                if fold == number:
                    members[candidate].append(member)
                    rows = bags[member]
            weight = None if sample_weight is None else sample_weight[rows]
            folds.append(Fold(X[rows], targets[rows], weight, members))
        return folds

    def _member(self, settings, n_rows, seed, log=None):
        """An estimator for a member, not fitted."""
        callbacks = self.callbacks if isinstance(self.callbacks, (list, tuple)) else [self.callbacks]
        callbacks = [one for one in [*callbacks, log] if one is not None]
        layers = layers_of(settings, self._encoder, self.numeric_embedding)
        member = member_of(
            self._member_class,
            settings,
            layers,
            n_rows,
            random_state=int(seed),
            callbacks=callbacks or None,
            n_threads=self.n_threads,
            n_iter_no_change=max(1, round(PATIENCE * settings.epochs)) if self.early_stopping else inf,
            early_stopping=self.early_stopping,
            **self._member_params(settings),
        )
        return clone(member)  # with callbacks of its own

    def _trained_members(self, settings, X, targets, sample_weight, bags, seeds):
        """The fitted members."""
        log = MemberLog(self.verbose, len(settings), sum(one.epochs for one in settings)) if self.verbose else None
        members = [None] * len(settings)

        def train(number):
            bag, rows = bags[number], slice(None)
            if len(bag):
                rows = np.delete(np.arange(len(X)), bag)
            weight = None if sample_weight is None else sample_weight[rows]
            member = self._member(settings[number], len(targets[rows]), seeds[number], log)
            given = {}
            if self.early_stopping and len(bag):
                given = {"X_val": X[bag], "y_val": targets[bag]}
            members[number] = slim(member.fit(X[rows], targets[rows], weight, **given))

        order = sorted(range(len(settings)), key=lambda i: -settings[i].epochs)  # the longest first
        try:
            in_threads(train, order, available_threads(self.n_threads))
        finally:
            if log is not None:
                log.close()
        return members

    # What is learned from out-of-bag rows

    def _combine(self, out_of_bag, rows_trained, rng):
        """Weights of the members, calibration, score, importances."""
        n_candidates = max(self._candidates) + 1
        of_candidates = np.full(n_candidates, 1 / n_candidates)
        self._forget_calibration()
        self.oob_score_, self.feature_importances_ = np.nan, np.full(self.n_features_in_, np.nan)
        if len(out_of_bag):
            predictions = out_of_bag.predictions(self._output_of)
            targets, weight = out_of_bag.targets, out_of_bag.sample_weight
            of_candidates = greedy_weights(predictions, lambda mean: self._loss(mean, targets, weight))
        counts = np.bincount(self._candidates)
        self.estimator_weights_ = (of_candidates / counts)[self._candidates]
        if len(out_of_bag):
            self._calibrate(np.tensordot(of_candidates, predictions, 1), targets, weight)
            score = lambda rows: self._out_of_bag_score(rows, of_candidates)  # noqa: E731
            self.oob_score_ = score(out_of_bag)
            n_rows = rows_to_permute(self.n_features_in_, rows_trained)
            self.feature_importances_ = permutation_importances(out_of_bag.head(n_rows), score, rng)

    def _out_of_bag_score(self, out_of_bag, of_candidates):
        """The score of the combined out-of-bag predictions."""
        predictions = np.tensordot(of_candidates, out_of_bag.predictions(self._output_of), 1)
        return self._score_encoded(predictions, out_of_bag.targets, out_of_bag.sample_weight)

    def _output_of(self, number, X):
        """What a member predicts for encoded rows, of shape (n, n_outputs)."""
        return self._member_output(self.estimators_[number], X)

    # Prediction

    def _combined(self, X):
        """The weighted mean of what the members predict, of shape (n, n_outputs)."""
        check_is_fitted(self)
        X = self._encoder.transform(X)
        total = 0.0
        for member, weight in zip(self.estimators_, self.estimator_weights_, strict=True):
            if weight > 0:
                total = total + weight * self._member_output(member, X).astype(np.float64)
        return total

    def _no_partial_fit(self):
        raise AttributeError(f"{type(self).__name__} {WHY_NO_PARTIAL_FIT}")

    @available_if(_no_partial_fit)
    def partial_fit(self, X, y, sample_weight=None):
        """Not available: see `fit`."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
