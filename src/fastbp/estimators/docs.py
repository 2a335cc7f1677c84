"""The parts of a docstring that the two estimators share, written once."""

from inspect import cleandoc

PARAMETERS = """
hidden_layer_sizes : int or array-like of int, default=(100,)
    Units of each hidden layer; ``()`` for a linear model.

activation : {activations}, default='relu'
    Activation of the hidden layers. It also decides the bound of all initial weights, even without hidden layers.

solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
    - 'adam': stochastic gradient descent with adaptive moments (Kingma and Ba, 2015). Good on thousands of rows.
    - 'sgd': stochastic gradient descent with momentum and a learning rate schedule.
    - 'lbfgs': full-batch quasi-Newton; often best on small data. To look at each iteration or to stop early, use
      `callbacks`: they see loss and network after each iteration, and stop by returning True. Warm-started fits of one
      iteration each lose the curvature that L-BFGS gathers.

alpha : float, default=0.0001
    Strength of the L2 penalty ``alpha / 2 * sum of squared weights``, divided by the batch's sum of sample weights.
    Biases are not penalized.

batch_size : int or 'auto', default='auto'
    Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.

learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
    Schedule, for ``solver='sgd'``.

    - 'constant': `learning_rate_init` throughout.
    - 'invscaling': ``learning_rate_init / (t + 1) ** power_t`` after an epoch, with ``t`` the rows trained on.
    - 'adaptive': divided by 5 whenever patience runs out (see `n_iter_no_change`); training stops when it is 1e-6
      or less.

learning_rate_init : float, default=0.001
    Initial learning rate of 'sgd' and 'adam'.

power_t : float, default=0.5
    Exponent of 'invscaling'.

max_iter : int, default=200
    Most epochs ('sgd', 'adam') or iterations ('lbfgs').

shuffle : bool, default=True
    Whether to shuffle the rows before each epoch.

random_state : int, RandomState instance, Generator instance or None, default=None
    For the initial weights, the validation split and the shuffles, consumed in scikit-learn's order. With an int,
    successive calls of `partial_fit` go on with one generator. A ``numpy.random.Generator`` gives the results of
    ``RandomState(generator.bit_generator)``, and goes on from there; scikit-learn does not accept one.

tol : float, default=1e-4
    What counts as an improvement of the loss or the validation score; for 'lbfgs', where the gradient is small
    enough.

verbose : bool or int, default=False
    Print the loss (and validation score) of every epoch.

warm_start : bool, default=False
    Whether `fit` goes on from the weights of the last one. Optimizer and patience are new in every `fit`.

momentum : float, default=0.9
    Of 'sgd', in [0, 1].

nesterovs_momentum : bool, default=True
    Whether 'sgd' looks ahead.

early_stopping : bool, default=False
    Whether to hold out `validation_fraction` of the rows, to stop when their score no longer improves, and to keep
    the weights with the best score. Stratified for a binary target. Where all scores are alike until patience runs
    out, the loss on the held-out rows takes their place, with a warning. Rows of weight zero are not held out.

validation_fraction : float, default=0.1
    Share of the rows that `early_stopping` holds out.

beta_1, beta_2 : float, default=0.9, 0.999
    Decay rates of the moments of 'adam', in [0, 1).

epsilon : float, default=1e-8
    Keeps the denominator of 'adam' from zero.

n_iter_no_change : int or inf, default=10
    Patience: training stops (or an adaptive learning rate falls) when more than so many epochs in a row bring no
    improvement by `tol`.

max_fun : int, default=15000
    Most evaluations of the loss by 'lbfgs'.

n_threads : int or None, default=None
    At most so many threads; None for what the process may use, within ``OMP_NUM_THREADS`` and the limits that
    ``threadpoolctl.threadpool_limits`` and joblib's ``inner_max_num_threads`` set. The model does not depend on it, to
    the last bit.

output_activation : str, default='auto'
    Activation of the output layer. 'auto' is the one that belongs to the loss and the targets;
    a classifier accepts no other.

callbacks : object or list of objects, default=None
    Each with any of the methods ``on_fit_begin(state)``, ``on_epoch_end(state)``, which ends training by returning
    True, and ``on_fit_end(state)``, which is called however training ends. See `fastbp.training.TrainingState`. For
    'lbfgs' an epoch is an iteration. Clones of the estimator get deep copies, or share those that inherit from
    `fastbp.Callback`.
"""

COST = """
``loss(y_true, raw_prediction, sample_weight) -> (loss, gradient)``. `y_true` and `raw_prediction`, of shape
(n, n_outputs), are the targets of a batch (classes as indicators) and the output before the output activation. It
returns the loss of each row, of shape (n,), and its derivative by `raw_prediction`, both times `sample_weight` where
that is not None. `fastbp.autodiff.FormulaLoss` makes one from a formula.
"""

ATTRIBUTES = """
coefs_ : list of ndarray of shape (fan_in, fan_out)
    Weights of each layer. They may be edited or assigned: the next `predict` or `partial_fit` uses them.

intercepts_ : list of ndarray of shape (fan_out,)
    Biases of each layer.

loss_ : float
    Loss of the last epoch, the penalty included.

best_loss_ : float or None
    Smallest loss of an epoch; None with early stopping. Not with 'lbfgs', like the four that follow.

loss_curve_ : list of float
    Loss of each epoch. `partial_fit` keeps the last {limit:,}.

validation_scores_ : list of float or None
    Score of the held-out rows after each epoch; None without early stopping.

best_validation_score_ : float or None
    The best of them.

t_ : int
    Rows trained on, over all calls that kept the weights.

n_iter_ : int
    Epochs or iterations of the last call.

n_layers_ : int
    Layers, input and output included.

n_outputs_ : int
    Units of the output layer.

out_activation_ : str
    Activation of the output layer.

n_features_in_ : int
    Columns of X.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, where X had names that are all strings.
"""


def documented(activations, limit):
    """A class decorator that fills in ``{parameters}`` and ``{attributes}`` in the docstring."""

    def fill(cls):
        # str.replace and not str.format: docstrings are full of braces
        names = "{" + ", ".join(repr(name) for name in activations) + "}"
        parameters = cleandoc(PARAMETERS).replace("{activations}", names)
        attributes = cleandoc(ATTRIBUTES).replace("{limit:,}", f"{limit:,}")
        cost = cleandoc(COST).replace("\n", "\n    ")
        doc = cleandoc(cls.__doc__).replace("{parameters}", parameters).replace("{attributes}", attributes)
        cls.__doc__ = doc.replace("{cost}", cost)
        return cls

    return fill
