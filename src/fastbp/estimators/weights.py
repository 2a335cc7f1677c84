"""The weights of a fitted estimator: lists of arrays for the user, one network for the kernels.

``coefs_`` and ``intercepts_`` are views into the network's flat vector, so that editing them edits the network. Users
may also assign arrays of their own; then a network with these values is made when one is needed.
"""

import numpy as np

from fastbp.activations import name_of
from fastbp.network import Network
from fastbp.versions import note_version, warn_if_other_version

#: How to begin with weights of one's own, for messages
OWN_WEIGHTS = (
    "To begin with weights of your own, fit first (max_iter=1 will do), then assign coefs_ and intercepts_, and go on "
    "with partial_fit, or with fit and warm_start=True. Or use a fastbp.Network, and copy them into its coefs and "
    "intercepts."
)


class FittedWeights:
    """The part of an estimator that looks after ``coefs_``, ``intercepts_`` and the network behind them."""

    def _build(self, layer_sizes, dtype, random_state=None):
        """A network as the parameters describe it; without a `random_state` its weights are not drawn."""
        return Network(
            layer_sizes,
            self.activation,
            self.out_activation_,
            self.loss,
            alpha=self.alpha,
            dtype=dtype,
            random_state=random_state,
            initializer=None if random_state is None else "glorot_uniform",
            n_threads=self.n_threads,
        )

    def _adopt(self, network):
        """Make `network` the fitted one: coefs_ and intercepts_ are views into its parameters."""
        self._network = network
        self.coefs_, self.intercepts_ = list(network.coefs), list(network.intercepts)

    def _fitted_network(self):
        """The network with the weights that coefs_ and intercepts_ hold now.

        The one that was trained, as long as these lists hold its views and `activation` is the same, with the loss that
        is set now; else one with copies of their values: the user has assigned some.
        """
        network = self.__dict__.get("_network")
        views = [] if network is None else network.coefs + network.intercepts
        for name in ("coefs_", "intercepts_"):
            if not hasattr(self.__dict__[name], "__iter__"):
                raise TypeError(f"{name} must be a list of arrays, got {type(self.__dict__[name]).__name__}")
        held = [*self.coefs_, *self.intercepts_]
        are_views = len(held) == len(views) and all(a is b for a, b in zip(held, views, strict=True))
        if are_views and self._has_current_activations(network):
            if network.loss != self.loss:
                network = network.with_loss(self.loss)
            network.n_threads = self.n_threads
            return network
        sizes = self._layer_sizes_of_weights()
        dtype = np.result_type(*(np.asarray(W).dtype for W in self.coefs_), np.float32)
        network = self._build(sizes, dtype)
        for view, values in zip(network.coefs + network.intercepts, held, strict=True):
            view[...] = values
        return network

    def _missing_attributes(self):
        """What a fit notes of the layers, and is not there."""
        return [name for name in ("n_features_in_", "n_layers_", "n_outputs_") if not hasattr(self, name)]

    def _check_weights_are_fitted(self):
        """ValueError where coefs_ were assigned to an estimator that was never fitted: it does not know its layers."""
        missing = self._missing_attributes()
        if missing:
            raise ValueError(
                f"coefs_ and intercepts_ were assigned to this {type(self).__name__} before any fit: {missing[0]} is "
                f"not known. {OWN_WEIGHTS}"
            )

    def _layer_sizes_of_weights(self):
        """The layer sizes that the shapes in coefs_ and intercepts_ tell; ValueError if they do not fit together."""
        coefs = [np.asarray(W) for W in self.coefs_]
        intercepts = [np.asarray(b) for b in self.intercepts_]
        for name, arrays in (("coefs_", coefs), ("intercepts_", intercepts)):
            for i, array in enumerate(arrays):
                if array.dtype.kind not in "fiub":
                    raise TypeError(f"{name}[{i}] must hold real numbers, got dtype {array.dtype}; convert with astype")
        if len(coefs) != len(intercepts) or len(coefs) != self.n_layers_ - 1:
            raise ValueError(
                f"coefs_ and intercepts_ must hold {self.n_layers_ - 1} arrays each, one for each layer; got "
                f"{len(coefs)} and {len(intercepts)}"
            )
        sizes = [self.n_features_in_]
        for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
            fan_out = self.n_outputs_ if i == len(coefs) - 1 else (W.shape[1] if W.ndim == 2 else "fan_out")
            if W.shape != (sizes[-1], fan_out):
                raise ValueError(f"coefs_[{i}] must have shape ({sizes[-1]}, {fan_out}), got {W.shape}")
            if b.shape != (fan_out,):
                raise ValueError(f"intercepts_[{i}] must have shape ({fan_out},), got {b.shape}")
            sizes.append(fan_out)
        return sizes

    def _network_to_train(self, hidden):
        """A copy of the fitted network, to go on with."""
        network = self._fitted_network()
        sizes = (self.n_features_in_, *hidden, self.n_outputs_)
        if network.layer_sizes != sizes:
            raise ValueError(
                f"warm_start and partial_fit go on with the fitted layers {network.layer_sizes} (input to output), but "
                f"hidden_layer_sizes and the data ask for {sizes}. Bring data with as many outputs and set "
                "hidden_layer_sizes back, or fit anew with warm_start=False."
            )
        network = network.copy()
        network.alpha = float(self.alpha)
        return network

    def _has_current_activations(self, network):
        """Whether the network has the activation that the parameters ask for."""
        activation = self.activation if isinstance(self.activation, str) else name_of(self.activation)
        return network.activations == (*[activation] * (len(network.layer_sizes) - 2), self.out_activation_)

    def __getstate__(self):
        # coefs_ and intercepts_ hold the parameters; views into the network's vector would be pickled twice
        state = super().__getstate__()
        return note_version({name: value for name, value in state.items() if name != "_network"})

    def __setstate__(self, state):
        super().__setstate__(warn_if_other_version(state, type(self).__name__))
        if hasattr(self, "coefs_") and not self._missing_attributes():
            self._adopt(self._fitted_network())
