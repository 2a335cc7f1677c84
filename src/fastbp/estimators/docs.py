"""The parts of a docstring that the two estimators share, written once."""

from collections.abc import Callable
from inspect import cleandoc
from typing import TypeVar

T = TypeVar("T")

#: What a function as `loss` is given and returns
FUNCTION_LOSS = """\
``loss(y_true, raw_prediction, sample_weight) -> (loss, gradient)``. `y_true` and `raw_prediction`, of shape
(n, n_outputs), are the targets of a batch (classes as indicators) and the output before the output activation. It
returns the loss of each row, of shape (n,), and its derivative by `raw_prediction`, both times `sample_weight` where
that is not None. `fastbp.autodiff.FormulaLoss` makes one from a formula."""

ATTRIBUTES = """
coefs_ : list of ndarray of shape (fan_in, fan_out)
    Weights of each layer, with `layers` of each `Dense` layer in order; ``network_.blocks`` names the parameters of all
    layers. They may be edited or assigned: the next `predict` or `partial_fit` uses them.

intercepts_ : list of ndarray of shape (fan_out,)
    Biases of each layer that has them.

loss_ : float
    Loss of the last epoch, the penalty included.

best_loss_ : float or None
    Smallest loss of an epoch; None with early stopping. Not with 'lbfgs', like the seven that follow.

loss_curve_ : list of float
    Loss of each epoch. `partial_fit` keeps the last {limit:,}.

validation_scores_ : list of float or None
    Score of the validation set after each epoch, the first one of `scoring`; None without early stopping and `X_val`.

best_validation_score_ : float or None
    The best of them.

validation_loss_curve_ : list of float or None
    Loss of the validation set after each epoch, without the penalty; None unless `X_val` is given, or `scoring` has
    'loss'.

history_ : dict of str to list of float
    The record of the epochs, a list of equal length for each column, for instance for ``pandas.DataFrame``: 'loss';
    'validation_loss' and ``'validation_'`` with the name of each score, where there are some; 'learning_rate', of the
    first step; 'seconds', the training time up to the end of the epoch. NaN stands for what was not computed. It grows
    and ends like ``loss_curve_``.

best_iteration_ : int or None
    The epoch of the last call, counted from 1, with the best validation score; without early stopping, with the
    smallest loss. None where every value is NaN.

t_ : int
    Rows trained on, over all calls that kept the weights.

n_iter_ : int
    Epochs or iterations of the last call.

n_layers_ : int
    Layers, input and output included; with `layers`, one more than there are `Dense` layers.

n_outputs_ : int
    Units of the output layer; for `Gaussian`, half of them.

out_activation_ : str
    Activation of the output layer.

n_features_in_ : int
    Columns of X.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Their names, where X had names that are all strings.
"""


def documented(limit: int) -> Callable[[type[T]], type[T]]:
    """A class decorator that fills in ``{attributes}`` in the docstring; `limit` is the length of ``loss_curve_``."""

    def fill(cls: type[T]) -> type[T]:
        attributes = cleandoc(ATTRIBUTES).replace("{limit:,}", f"{limit:,}")
        cls.__doc__ = str(cls.__doc__).replace("{attributes}", attributes)
        return cls

    return fill
