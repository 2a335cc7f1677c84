"""The estimators on a cluster."""

from os import PathLike
from typing import Any, Never, Self

from numpy.typing import ArrayLike

from fastbp.compatibility import fit_context
from fastbp.dask.cluster import Cluster, client_of
from fastbp.dask.collections import check_is_distributed, is_distributed
from fastbp.dask.parameters import OWN, ClusterParameters, check_can_be_averaged
from fastbp.dask.prediction import accuracy_of, lazy, r2_of, sums_of_accuracy, sums_of_squares, total_score
from fastbp.dask.rows import DaskRows
from fastbp.dask.shards import as_local
from fastbp.dask.validation import given_rows
from fastbp.estimators.base import LOSS_CURVE_LIMIT, BaseMLP
from fastbp.estimators.classifier import MLPClassifier
from fastbp.estimators.docs import documented
from fastbp.estimators.regressor import MLPRegressor
from fastbp.estimators.slim import slim
from fastbp.parametrized import parametrized


class DaskMLP(BaseMLP):
    """What the two estimators share; not to be used itself."""

    # Of the cluster

    @property
    def client(self) -> Any:
        """distributed.Client: the one that `fit` and `score` use; by default ``distributed.get_client()``. It is no
        parameter, and is not copied with the estimator."""
        return client_of(self)

    @client.setter
    def client(self, client: Any) -> None:
        from distributed import Client

        if client is not None and not isinstance(client, Client):
            raise TypeError(f"client must be a distributed.Client or None, got {client!r}")
        self._client = client

    def _fit_on_cluster(self, X, y, sample_weight, X_val, y_val, sample_weight_val, resume_from, prepare=None):
        check_can_be_averaged(self, X_val)
        for name, value in (("X", X), ("y", y), ("sample_weight", sample_weight)):
            if value is not None or name != "sample_weight":
                check_is_distributed(name, value, self)
        cluster = Cluster(self.client)
        rows = DaskRows(cluster, X, y, sample_weight)
        given = given_rows(cluster, rows, X_val, y_val, sample_weight_val)
        return self._fit(rows, prepare=prepare, given=given, resume_from=resume_from)

    # Copies

    def to_local(self) -> Any:
        """The fitted model on one machine.

        Returns
        -------
        MLPClassifier or MLPRegressor
            With the parameters and attributes of this one, and weights of its own.
        """
        state = self.__getstate__()
        for name in OWN:
            state.pop(name)
        if "_network_state" in state:
            definition, params = state["_network_state"]
            state["_network_state"] = definition, params.copy()
        model = as_local(self, {})
        model.__setstate__(state)
        return model

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_client", None)
        return state

    # Predictions

    def _predicted(self, method, X):
        """What a method returns: lazily for a collection, else at once."""
        if is_distributed(X):
            return lazy(X, self._predictor(), method)
        return getattr(super(), method)(X)

    def _predictor(self):
        """The local model without what only training needs: workers predict with it."""
        return slim(self).to_local().set_params(callbacks=None, init_from=None)

    def predict(self, X: Any) -> Any:
        """The predictions.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed blocks, of shape (n_samples, n_features)
            Anything else is predicted at once, as by the estimator of one machine.

        Returns
        -------
        y : Dask array, series or data frame, or list of delayed blocks
            Not computed yet, with the partitions of X.
        """
        return self._predicted("predict", X)

    @property
    def partial_fit(self) -> Never:
        """Not there: ``to_local().partial_fit`` goes on with rows on one machine."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: use fit with warm_start=True, or to_local().partial_fit"
        )

    @property
    def fit_batches(self) -> Never:
        """Not there: the partitions of a collection are the blocks."""
        raise AttributeError(f"{type(self).__name__} has no fit_batches: give fit a collection of delayed blocks")


@documented(LOSS_CURVE_LIMIT)
@parametrized(eq=False)
class DaskMLPClassifier(DaskMLP, MLPClassifier, ClusterParameters):
    """Multi-layer perceptron classifier, trained on a Dask cluster.

    The rows stay on the workers. Each trains a copy of the network on its rows, and after some steps the weights are
    averaged; see `fastbp.dask`. With one worker the model is that of `MLPClassifier`, to the last bit.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of them
        The class labels; for several columns of labels those of each column.

    client : distributed.Client
        The one that is used; may be set.

    {attributes}

    Notes
    -----
    `batch_size` is that of all workers together: each has batches of its share of the rows. With many workers give a
    larger one, so that those of a worker are not too small to be fast. `n_threads` are threads of a worker; None are
    those that it was started with.

    References
    ----------
    Douillard et al. (2023), DiLoCo: distributed low-communication training of language models, arXiv:2311.08105.

    Malladi, Lyu, Panigrahi and Arora (2022), On the SDEs and scaling rules for adaptive gradient algorithms, NeurIPS.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastbp.dask import DaskMLPClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0"):
    ...     X, y = da.from_array(X / 16, chunks=(500, 64)), da.from_array(y, chunks=500)
    ...     model = DaskMLPClassifier(max_iter=60, learning_rate_init=0.01, tol=0.02, random_state=0).fit(X, y)
    ...     print(model.predict(X[:3]).compute(), model.score(X, y) > 0.95)
    [0 1 2] True
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(  # type: ignore[override]  # there is no **others, which are Never
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        classes: ArrayLike | list[ArrayLike] | None = None,
        resume_from: str | PathLike[str] | Self | None = None,
    ) -> Self:
        """Fit the model to collections, whose partitions stay where they are.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed blocks, of shape (n_samples, n_features)
        y : Dask array, series or data frame, or list of delayed blocks
            With the partitions of X; the chunks of an array are made those of X. Its forms are those of
            `MLPClassifier.fit`.
        sample_weight : as `y`, of shape (n_samples,), default=None
            Not negative.
        X_val, y_val, sample_weight_val : as `X`, `y` and `sample_weight`, or arrays, default=None
            Rows to validate on after each epoch. Those of collections are put together on one worker, which computes
            the scores. `early_stopping` needs them: no rows are held out.
        classes : array-like of shape (n_classes,) or list of them, default=None
            As for `MLPClassifier.fit`.
        resume_from : str, path, fitted estimator or None, default=None
            As for `MLPClassifier.fit`. The cluster must divide the rows as in the run of the checkpoint; what is
            compared of the data is a sample.

        Returns
        -------
        self : DaskMLPClassifier

        Raises
        ------
        TypeError
            For anything but collections.
        ValueError
            If there is no client; if X and y have different partitions; for parameters with which weights cannot be
            averaged; and where `MLPClassifier.fit` raises it, with the number of the partition.
        """
        announce = None if classes is None else lambda model: setattr(model, "_announced_classes", classes)
        return self._fit_on_cluster(X, y, sample_weight, X_val, y_val, sample_weight_val, resume_from, announce)

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class.

        Parameters
        ----------
        X : as for `predict`

        Returns
        -------
        probabilities : Dask array or data frame, or list of delayed blocks, of shape (n_samples, n_classes)
            Not computed yet. For several columns of labels a list of them.
        """
        return self._predicted("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : as for `predict`

        Returns
        -------
        log_probabilities : as of `predict_proba`
        """
        return self._predicted("predict_log_proba", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy on X and y.

        Parameters
        ----------
        X, y, sample_weight : as for `fit`

        Returns
        -------
        float
        """
        if not is_distributed(X):
            return super().score(X, y, sample_weight)
        arguments = X, y, sample_weight
        return total_score(Cluster(self.client), self._predictor(), *arguments, sums_of_accuracy, accuracy_of)


@documented(LOSS_CURVE_LIMIT)
@parametrized(eq=False)
class DaskMLPRegressor(DaskMLP, MLPRegressor, ClusterParameters):  # type: ignore[misc]  # predict has no return_std
    """Multi-layer perceptron regressor, trained on a Dask cluster.

    The rows stay on the workers. Each trains a copy of the network on its rows, and after some steps the weights are
    averaged; see `fastbp.dask`. With one worker the model is that of `MLPRegressor`, to the last bit.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    client : distributed.Client
        The one that is used; may be set.

    {attributes}

    Notes
    -----
    See `DaskMLPClassifier`.

    References
    ----------
    See `DaskMLPClassifier`.
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(  # type: ignore[override]  # there is no **others, which are Never
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        resume_from: str | PathLike[str] | Self | None = None,
    ) -> Self:
        """Fit the model to collections, whose partitions stay where they are.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed blocks, of shape (n_samples, n_features)
        y : Dask array, series or data frame, or list of delayed blocks
            With the partitions of X; the chunks of an array are made those of X.
        sample_weight : as `y`, of shape (n_samples,), default=None
            Not negative.
        X_val, y_val, sample_weight_val : as `X`, `y` and `sample_weight`, or arrays, default=None
            As for `DaskMLPClassifier.fit`.
        resume_from : str, path, fitted estimator or None, default=None
            As for `DaskMLPClassifier.fit`.

        Returns
        -------
        self : DaskMLPRegressor

        Raises
        ------
        TypeError, ValueError
            As `DaskMLPClassifier.fit`.
        """
        return self._fit_on_cluster(X, y, sample_weight, X_val, y_val, sample_weight_val, resume_from)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination R^2 of the predictions; of several columns the mean.

        Parameters
        ----------
        X, y, sample_weight : as for `fit`

        Returns
        -------
        float
        """
        if not is_distributed(X):
            return super().score(X, y, sample_weight)
        arguments = X, y, sample_weight
        return total_score(Cluster(self.client), self._predictor(), *arguments, sums_of_squares, r2_of)
