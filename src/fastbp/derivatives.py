"""Derivatives of a network: products with its Jacobian in both modes, the Jacobian, products with the Hessian.

Rows go through the net in slices whose activations the caches hold, each slice a `Linearization`: one forward pass, and
the products on top of it. Where there is enough work, threads share the slices. Gradients are added up within a fixed
number of runs of slices, and these in their order: no result depends on the number of threads.

The cost, in products with the weights of a layer, where a forward pass is one: vjp, jvp and input_gradient 2, backward
3, hvp 3 for the first layer, whose input does not change, and 8 for every other (the forward pass 1, its change 2, the
backward pass 1, its change 2, the change of dW 2). ``benchmarks/derivatives.py`` measures it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastbp.data import as_rows, checked_csr, dense, real_array
from fastbp.kernels._doors import check_shape
from fastbp.kernels.dispatch import CANONICAL_ACTIVATION
from fastbp.kernels.linearization import Linearization, transposed_weights
from fastbp.kernels.losses import loss_curvature, loss_gradient
from fastbp.kernels.pool import Pool
from fastbp.penalty import l2_gradient
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for

#: Rows that pass through the net together, here and for the gradient of a whole data set: their activations should stay
#: in the second-level cache, and more rows amortize the adding up of gradients.
SLICE_ROWS = 256

#: Fewer in a deep net, down to this number, whose activations would take more bytes: with 200 layers of 32 units a
#: vjp costs four forward passes by 256 rows, and two by 64.
FEWEST_ROWS = 32
SLICE_BYTES = 3 * 1024 * 1024

#: Gradients are added up within so many runs of slices.
RUNS = 4


class Differentiable:
    """The part of a `Network` that differentiates it."""

    def vjp(self, X: ArrayLike, v: ArrayLike) -> NDArray:
        """The vector-Jacobian product ``v J``, row by row: reverse mode, one backward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        v : array-like of shape (n, n_outputs)

        Returns
        -------
        dX : ndarray of shape (n, n_features)
            Row i is ``v[i] @ J_i``, with J_i of shape (n_outputs, n_features) the Jacobian of the output at ``X[i]``:
            the gradient by X of ``sum(v * forward(X))``.
        """
        X = self._check_X(X)
        v = self._like("v", v, (X.shape[0], self.n_outputs))
        out = np.empty(X.shape, self.dtype)
        self._over_slices(X, lambda at, rows: at.pull(v[rows], dX=out[rows]), passes=2)
        return out

    def jvp(self, X: ArrayLike, u: ArrayLike) -> NDArray:
        """The Jacobian-vector product ``J u``, row by row: forward mode, in step with the forward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        u : array-like of shape (n, n_features)

        Returns
        -------
        dA : ndarray of shape (n, n_outputs)
            Row i is ``J_i @ u[i]``: the change of the output, to first order, when ``X[i]`` moves by ``u[i]``.
        """
        X = self._check_X(X)
        u = self._like("u", u, (X.shape[0], self.layer_sizes[0]))
        out = np.empty((X.shape[0], self.n_outputs), self.dtype)

        def piece(at, rows):
            out[rows] = at.push(u[rows])

        self._over_slices(X, piece, passes=2)
        return out

    def jacobian(self, X: ArrayLike, mode: str = "auto") -> NDArray:
        """The Jacobian of the output by the input, at every row of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        mode : {"auto", "reverse", "forward"}
            reverse: a `vjp` for each output. forward: a `jvp` for each feature. auto: whichever are fewer. All give the
            same numbers, but for rounding.

        Returns
        -------
        J : ndarray of shape (n, n_outputs, n_features)
        """
        n_features, n_outputs = self.layer_sizes[0], self.n_outputs
        if mode not in ("auto", "reverse", "forward"):
            raise ValueError(f"mode must be 'auto', 'reverse' or 'forward', got {mode!r}")
        if mode == "auto":
            mode = "forward" if n_features < n_outputs else "reverse"
        X = self._check_X(X)
        J = np.empty((X.shape[0], n_outputs, n_features), self.dtype)

        def reverse(at, rows):
            row = np.empty((len(at.output), n_features), self.dtype)
            for k, v in enumerate(np.eye(n_outputs, dtype=self.dtype)):
                at.pull(np.tile(v, (len(row), 1)), dX=row)
                J[rows, k] = row

        def forward(at, rows):
            for j, u in enumerate(np.eye(n_features, dtype=self.dtype)):
                J[rows, :, j] = at.push(np.tile(u, (len(at.output), 1)))

        passes = 1 + (n_outputs if mode == "reverse" else n_features)
        self._over_slices(X, reverse if mode == "reverse" else forward, passes)
        return J

    def backward(self, X: ArrayLike, dA: ArrayLike) -> tuple[NDArray, NDArray]:
        """Backpropagation of a gradient of your own.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        dA : array-like of shape (n, n_outputs)
            The gradient of your cost by the network's output, ``forward(X)``.

        Returns
        -------
        gradient : ndarray of shape (n_params,)
            By the parameters, summed over the rows, without a penalty; see `split`.
        dX : ndarray of shape (n, n_features)
            By the input, like `vjp`.
        """
        X = self._check_X(X)
        dA = self._like("dA", dA, (X.shape[0], self.n_outputs))
        dX = np.empty(X.shape, self.dtype)
        gradient = self._summed_over_slices(X, lambda at, rows, total: at.pull(dA[rows], total, dX[rows]), passes=3)
        return gradient, dX

    def input_gradient(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NDArray:
        """The gradient of the mean loss by the input: which features of which rows the loss hangs on.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y, sample_weight
            As for `loss_and_gradient`, whose loss this is the gradient of.

        Returns
        -------
        dX : ndarray of shape (n, n_features)
        """
        X, data = self._data(X, y, sample_weight)
        out = np.empty(X.shape, self.dtype)

        def piece(at, rows):
            dA, canonical = self._output_gradient(at, data, rows)
            at.pull(dA, dX=out[rows], by_preactivation=canonical)

        # a function of the user's is called by the caller's thread only, as in training
        self._over_slices(X, piece, passes=2, alone=callable(self.loss))
        out /= self.dtype.type(data.weight_sum)
        return out

    def hvp(self, X: ArrayLike, y: ArrayLike, direction: ArrayLike, sample_weight: ArrayLike | None = None) -> NDArray:
        """The Hessian-vector product: the change of the gradient when the parameters move along `direction`.

        Exact to rounding, and without the Hessian: the directional derivative of backpropagation itself.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y, sample_weight
            As for `loss_and_gradient`, whose gradient this is the derivative of, the penalty's share included.
        direction : array-like of shape (n_params,)
            Laid out as the parameters; see `split`.

        Returns
        -------
        ndarray of shape (n_params,)
            ``H @ direction``.

        Raises
        ------
        ValueError
            For a loss that is a function: its second derivative is not known.

        References
        ----------
        Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6.
        """
        if callable(self.loss):
            raise ValueError(f"hvp needs the second derivative of the loss, which {self.loss!r} does not give")
        X, data = self._data(X, y, sample_weight)
        direction = self._like("direction", direction, (self.n_params,))
        turned = transposed_weights(self.layers, direction)

        def piece(at, rows, total):
            change = at.push_parameters(direction)
            dA, canonical = self._output_gradient(at, data, rows)
            # a canonical delta, a - y, changes as a does
            curvature = 1 if canonical else loss_curvature(data.targets(rows), at.output, self.kernel_loss)
            tangent = self._weighted(data, rows, change * curvature)
            at.pull_tangent(dA, tangent, direction, turned, total, by_preactivation=canonical)

        product = self._summed_over_slices(X, piece, passes=8)
        product[: self.n_coefs] += l2_gradient(self.alpha, direction[: self.n_coefs])
        product /= self.dtype.type(data.weight_sum)
        return product

    # The loss, as a function of the output

    def _output_gradient(self, at, data, rows):
        """(gradient of the summed loss by the output of some rows, whether it is one by the pre-activation)."""
        Y = data.targets(rows)
        if callable(self.loss):
            weight = None if data.sample_weight is None else data.sample_weight[rows]
            gradient = self.kernel_loss.checked(Y, at.preactivation, weight)[1]
            return dense(f"the gradient from {self.kernel_loss.label}", gradient, self.dtype), True
        canonical = self.activations[-1] == CANONICAL_ACTIVATION[self.kernel_loss]
        gradient = at.output - Y if canonical else loss_gradient(Y, at.output, self.kernel_loss)
        return self._weighted(data, rows, gradient), canonical

    @staticmethod
    def _weighted(data, rows, gradient):
        """`gradient`, times the sample weights of the rows; in place."""
        if data.sample_weight is not None:
            gradient *= data.sample_weight[rows, None].astype(gradient.dtype)
        return gradient

    # Slices

    def _slice_rows(self):
        row_bytes = self.dtype.itemsize * sum(self.layer_sizes[1:])
        return max(FEWEST_ROWS, min(SLICE_ROWS, SLICE_BYTES // row_bytes))

    def _over_slices(self, X, piece, passes, totals=None, alone=False):
        """Call ``piece(linearization, rows)`` for every slice of the rows of X, in threads where that pays.

        With `totals`, an array for each run of slices, which is set to zero, ``piece(linearization, rows, total)``.
        With `alone`, in this thread only.
        """
        n = X.shape[0]
        if sparse.issparse(X):
            X = checked_csr("X", X)  # slicing follows its indices, after functions of the user's have run
        turned = transposed_weights(self.layers, self.params)
        size = self._slice_rows()
        n_slices = -(-n // size)
        n_runs = n_slices if totals is None else len(totals)

        def work(pool):
            for run in pool:
                total = () if totals is None else (totals[run],)
                for array in total:
                    array[...] = 0
                for i in range(run * n_slices // n_runs, (run + 1) * n_slices // n_runs):
                    if pool.halted:
                        return
                    rows = slice(i * size, min((i + 1) * size, n))
                    part = X[rows].toarray() if sparse.issparse(X) else X[rows]
                    at = Linearization(self.layers, self.params, turned, as_rows(part, self.dtype))
                    piece(at, rows, *total)

        wanted = 1 if alone else self.n_threads
        n_threads = threads_for(passes * self.flops(n, backward=False), wanted, STARTED_FLOPS_PER_THREAD)
        Pool(n_runs).run(work, min(n_threads, n_runs))

    def _summed_over_slices(self, X, piece, passes):
        """The sum over all slices of what ``piece(linearization, rows, total)`` adds to `total`."""
        runs = max(1, min(RUNS, -(-X.shape[0] // self._slice_rows())))
        totals = [np.empty(self.n_params, self.dtype) for _ in range(runs)]
        self._over_slices(X, piece, passes, totals)
        total = totals[0]
        for other in totals[1:]:
            total += other
        return total

    def _data(self, X, y, sample_weight):
        """(X, data), checked."""
        X = self._check_X(X)
        data = self._make_data(X, y, sample_weight)
        if callable(self.loss):
            self.kernel_loss.check_weights(data)
        return X, data

    def _like(self, name, array, shape):
        """`array` in the network's dtype, C-contiguous and aligned; ValueError unless of this shape."""
        return dense(name, check_shape(name, real_array(name, array), shape), self.dtype)
