"""All that is measured for a report, each of it once, when it is first asked for."""

import warnings
from contextlib import contextmanager
from functools import cached_property
from types import SimpleNamespace

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error

from fastbp.compatibility import safe_indexing
from fastbp.data import checked_csr
from fastbp.estimators.encoder import MLPEncoder
from fastbp.inspection.gradient_flow import PROBE_ROWS, GradientFlow
from fastbp.inspection.reports.importances import importances_of
from fastbp.inspection.reports.outcomes import outcome_of
from fastbp.inspection.reports.page.numbers import number, percent
from fastbp.losses.regression import Quantile

#: Rows of a batch, with batch_size='auto', if there are as many
AUTO_BATCH_SIZE = 200
#: Operations that leave the columns of X what they are
OF_SAME_COLUMNS = {"dropout", "scale", "batch_norm", "running_norm"}
#: Operations that bring the columns of X to a common scale
SCALING = {"batch_norm", "running_norm", "robust_scale"}


class Evidence:
    """What is known about a subject.

    Parameters
    ----------
    subject : Subject
    n_repeats : int
        Shuffles of each column for its importance; 0 for none.
    random_state : int
    image_shape : tuple of (height, width), "auto" or None
        As for `WeightsDisplay`.

    Attributes
    ----------
    subject : Subject
    core : Core
        One network of the model.
    """

    def __init__(self, subject, *, n_repeats, random_state, image_shape="auto"):
        self.subject, self.n_repeats, self.random_state = subject, n_repeats, random_state
        self.image_shape = image_shape
        with quietly():
            self.core = subject.core
        self.model = self.core.model

    # Training

    @property
    def is_single(self):
        """bool: whether the model is a single network, with parameters of its own, and no ensemble of a preset."""
        return self.core.name is None

    @cached_property
    def network(self):
        """Network: that of the core."""
        return self.model.network_

    @cached_property
    def flow(self):
        """GradientFlow or None: gradients of the fitted network on at most 256 rows; None if they cannot be had."""
        X, y = self.core.X, self.core.y
        rows = np.unique(np.linspace(0, self.subject.n - 1, PROBE_ROWS).astype(int))
        weight = self.subject.sample_weight
        with quietly():
            try:
                _, X, targets = self.model._network_and_data(safe_indexing(X, rows), safe_indexing(y, rows))
                flow = GradientFlow(X, targets, None if weight is None else weight[rows])
                flow.on_fit_begin(SimpleNamespace(network=self.network))
            except ValueError:  # numbers that are not finite
                return None
        return flow

    @cached_property
    def recorded_flow(self):
        """GradientFlow or None: what a callback of the estimator has recorded in training."""
        callbacks = self.model.callbacks
        callbacks = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        recorded = [one for one in callbacks if isinstance(one, GradientFlow) and len(one.epochs) > 1]
        n_layers = len(self.network.graph.dense_operations)
        return next((one for one in recorded if len(one.activations) == n_layers), None)

    @cached_property
    def history(self):
        """dict of str to ndarray: what was recorded in training, of the core; empty for 'lbfgs'."""
        history = getattr(self.model, "history_", None) or {}
        return {name: np.asarray(values, np.float64) for name, values in history.items()}

    @property
    def loss_curve(self):
        """ndarray of shape (n_epochs,): the training loss of each epoch."""
        return self.history.get("loss", np.empty(0))

    @property
    def best_epoch(self):
        """int or None: the epoch of `loss_curve`, counted from 1, whose weights early stopping has restored."""
        best, model = getattr(self.model, "best_iteration_", None), self.model
        if not (best and model.early_stopping and model.restore_best):
            return None
        return len(self.loss_curve) - model.n_iter_ + best  # the curve may begin with earlier runs

    @cached_property
    def n_trained(self):
        """int or None: rows in an epoch of training; None where it is not known, as after several runs."""
        rows, epochs = getattr(self.model, "t_", 0), len(self.loss_curve)
        return round(rows / epochs) if rows and epochs == self.model.n_iter_ else None

    @cached_property
    def recorded_loss(self):
        """float or None: the loss, with the penalty, of the epoch whose weights the model has, as training recorded it;
        None for an ensemble, and for a network that was not trained."""
        if not self.is_single or not hasattr(self.model, "loss_"):
            return None
        curve = self.loss_curve if len(self.loss_curve) else [self.model.loss_]  # 'lbfgs' has the last one only
        return float(curve[self.best_epoch - 1 if self.best_epoch else -1])

    @property
    def averages_weights(self):
        """bool: whether the weights are averages of those whose losses were recorded."""
        model = self.model
        return model.solver != "lbfgs" and (model.ema_decay is not None or model.swa_start is not None)

    @cached_property
    def losses(self):
        """(training, here) or None: the loss of the epoch whose weights the model has, and that on the rows of the
        report, without the penalty; None where they cannot be compared."""
        if self.recorded_loss is None or self.model.mixup_alpha or self.averages_weights:
            return None
        training = self.recorded_loss - self.penalty_in_training()
        if training < 0 <= self.recorded_loss:  # sample weights have made the penalty's share a smaller one
            return None
        with quietly(), np.errstate(over="ignore", invalid="ignore"):
            try:
                network, X, targets = self.model._network_and_data(self.core.X, self.core.y)
                weight = self.model._weighted_by_class(self.core.y, self.subject.sample_weight, self.core.y)
                data = network._make_data(network._check_X(X), targets, weight)
                here = network.mean_loss(data) * self.model._loss_scale
            except ValueError:
                return None
        return training, float(here)

    def penalty_in_training(self):
        """The penalty's share in the losses that are recorded: it is divided by the weights of a batch, which are known
        but for sample weights: float."""
        n, model = self.n_trained or self.subject.n, self.model
        if model.solver != "lbfgs":
            n = min(n, AUTO_BATCH_SIZE if model.batch_size == "auto" else model.batch_size)
        of_classes = model._weighted_by_class(self.core.y, None, self.core.y)
        return self.network.penalty() / (n if of_classes is None else n * of_classes.mean())

    # Predictions

    @cached_property
    def outcome(self):
        """Outcome: predictions beside the truth."""
        with quietly():
            return outcome_of(self.subject)

    @cached_property
    def score(self):
        """float: the estimator's own score on these rows, NaN where there is none."""
        if self.outcome.failure:
            return np.nan
        weight = self.subject.sample_weight
        options = {} if weight is None else {"sample_weight": weight}
        if isinstance(self.subject.model, MLPEncoder):  # which has no score
            true, predicted = (np.stack([getattr(p, n) for p in self.outcome.parts], 1) for n in ("true", "predicted"))
            return float(r2_score(true, predicted, sample_weight=weight)) if self.subject.n > 1 else np.nan
        with quietly():
            return float(self.subject.estimator.score(self.subject.X, self.subject.y, **options))

    @property
    def score_name(self):
        """str: the name of the score."""
        return "Accuracy" if is_classifier(self.subject.model) else "R²"

    @property
    def score_phrase(self):
        """str: the name of the score within a sentence."""
        return "accuracy" if self.score_name == "Accuracy" else "R²"

    def in_words(self, score):
        """A score as text: an accuracy in percent."""
        return percent(score, 1) if self.score_name == "Accuracy" else number(score)

    @property
    def predicts_centre(self):
        """bool: whether a constant is a fair competitor: predictions are no quantile other than the median."""
        loss = getattr(self.subject.model, "_fitted_loss", None)
        return not (isinstance(loss, Quantile) and len(loss.constants) == 1 and loss.estimates_spread)

    @cached_property
    def constant_score(self):
        """float: the score of the best constant prediction."""
        if not self.outcome.has_classes:
            return 0.0
        rows = np.stack([part.true for part in self.outcome.parts], axis=1)
        _, numbers = np.unique(rows, axis=0, return_inverse=True)
        counts = np.bincount(numbers.ravel(), weights=self.subject.sample_weight)
        return float(counts.max() / counts.sum())

    @cached_property
    def further_scores(self):
        """dict of str to float: other scores of a single target."""
        weight, parts = self.subject.sample_weight, self.outcome.parts
        if len(parts) != 1:
            return {}
        (part,) = parts
        if self.outcome.has_classes:
            if len(part.classes) < 2:
                return {}
            labels = range(len(part.classes))
            with quietly():
                return {"Log-loss": log_loss(part.true, part.probabilities, sample_weight=weight, labels=labels)}
        return {
            "Mean absolute error": mean_absolute_error(part.true, part.predicted, sample_weight=weight),
            "Root mean squared error": root_mean_squared_error(part.true, part.predicted, sample_weight=weight),
        }

    @cached_property
    def importances(self):
        """Importances, or a str that says why there are none."""
        with quietly():
            return importances_of(self)

    # Data

    @cached_property
    def reads_columns(self):
        """bool: whether the first fully connected layer reads the columns of X as they are, or each scaled."""
        graph = self.network.graph
        first = graph.dense_operations[0][0]
        node, before = first.input, {op.output: op for op in graph.operations}
        while node:
            op = before[node]
            if op.kind not in OF_SAME_COLUMNS:
                return False
            node = op.input
        return True

    @property
    def scales_columns(self):
        """bool: whether the network scales the columns of X itself."""
        first = self.network.graph.operations[0]
        return first.kind in SCALING or not self.reads_columns

    @cached_property
    def column_moments(self):
        """(mean, std) of the columns that the core reads, each of shape (n_features,)."""
        X = self.core.X
        with quietly(), np.errstate(all="ignore"):
            if sparse.issparse(X):
                X = checked_csr("X", X).astype(np.float64)
                mean = np.asarray(X.mean(axis=0)).ravel()
                square = np.asarray(X.multiply(X).mean(axis=0)).ravel()
                return mean, np.sqrt(np.maximum(square - mean**2, 0))
            X = np.asarray(X, np.float64)
            return np.nanmean(X, axis=0), np.nanstd(X, axis=0)

    @cached_property
    def constant_columns(self):
        """list of str: the columns that have the same number in all rows."""
        X = self.core.X
        if self.subject.n < 2:
            return []
        if sparse.issparse(X):
            X = checked_csr("X", X)
            is_constant = X.max(axis=0).toarray().ravel() == X.min(axis=0).toarray().ravel()
        else:
            X = np.asarray(X)
            is_constant = (X[:1] == X).all(axis=0)
        return [name for name, constant in zip(self.subject.model_names, is_constant, strict=True) if constant]


@contextmanager
def quietly():
    """What estimators warn of here, they warn of in `predict` and `fit` too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
