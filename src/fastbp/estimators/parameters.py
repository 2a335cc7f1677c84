"""The parameters of the estimators, each described once.

From the fields of `MLPParameters`, and those that the two estimators add, follow the constructor and its signature, the
constraints that scikit-learn checks, and the docstrings. Parameters that stand for those of an optimizer or a schedule
take default and constraint from there.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import KW_ONLY, fields
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.metrics import get_scorer_names

from fastbp.activations import HIDDEN_ACTIVATIONS, Activation
from fastbp.compatibility import Interval, InvalidParameterError, Options, StrOptions
from fastbp.initializers import INITIALIZERS
from fastbp.kernels.precision import PRECISIONS
from fastbp.layers import Dense, Layer
from fastbp.layers.dense import check_output_layer
from fastbp.optimizers import OPTIMIZERS, SGD, Adam, Optimizer
from fastbp.parametrized import CachedParamNames, NameOrObject, Parametrized, parameter, parametrized
from fastbp.schedules import SCHEDULES, FunctionSchedule, InverseScaling, ProgressSchedule, Schedule
from fastbp.training.validation import LOSS

#: The value of `verbose` for a progress bar; all other numbers mean what they mean in scikit-learn
PROGRESS_BAR = 2
#: What the updates of a stochastic solver do besides its formula; None where nothing is asked for
UPDATE_OPTIONS = ("weight_decay", "clip_norm", "max_norm")
#: What the activation of a hidden layer may be
HIDDEN_ACTIVATION = NameOrObject(HIDDEN_ACTIVATIONS, Activation)
#: The values of `weight_init` that need rows -> the initializer of the network before
DATA_DEPENDENT = {"data_dependent": "orthogonal", "data_dependent_random_bias": "lecun_normal"}
#: What a schedule of weight decay or dropout may be
PROGRESS_SCHEDULE = NameOrObject(
    [name for name, cls in SCHEDULES.items() if issubclass(cls, ProgressSchedule)], ProgressSchedule, or_function=True
)
#: The parameters that take such a schedule
PROGRESS_SCHEDULES = ("weight_decay_schedule", "dropout_schedule")


def parameter_of(cls, name):
    """The estimators' parameter that stands for a field of an optimizer or a schedule given by its name.

    Parameters
    ----------
    cls : type
        The class of the field. Where the name of `cls` is given, `from_name` takes the field's value from here.
    name : str
        Of the field.

    Returns
    -------
    dataclasses.Field
    """
    (field,) = (f for f in fields(cls) if f.name == name)
    described = field.metadata
    doc = f"Of {cls.name!r}. {described['doc']}"
    return parameter(field.default, described["constraint"], described["type_text"], doc, stands_for=cls)


class ScoringOption(StrOptions):
    """A scikit-learn constraint: what `scoring` may be; what lists and dicts hold is checked when it is used."""

    def is_satisfied_by(self, val):
        """Whether `val` is a name, None, a callable, or several of them."""
        return val is None or callable(val) or isinstance(val, (list, tuple, dict)) or super().is_satisfied_by(val)

    def __str__(self) -> str:
        return f"None, a callable, a list or dict of scorers, or {super().__str__()}"


@parametrized(eq=False)
class MLPParameters(CachedParamNames):
    """The parameters that the classifier and the regressor share."""

    hidden_layer_sizes: int | Sequence[int] = parameter(
        (100,),
        ["array-like", Interval(Integral, 1, None, closed="left")],
        "int or array-like of int",
        "Units of each hidden layer; ``()`` for a linear model.",
    )

    activation: str | Activation | Sequence[str | Activation] = parameter(
        "relu",
        [HIDDEN_ACTIVATION, "array-like"],
        f"{HIDDEN_ACTIVATION.type_text}, or a sequence of them",
        """
        Activation of the hidden layers: one for all, or one for each. The (first) one also decides the bound of all
        initial weights, even without hidden layers. 'prelu' and 'blend' have trained parameters, which are in
        ``network_.blocks``. As in scikit-learn, a value that is set after `fit` counts for predictions and for further
        training; to or from activations with trained parameters, that is an error.""",
    )

    _: KW_ONLY

    solver: str | Optimizer = parameter(
        "adam",
        [NameOrObject(("lbfgs", *OPTIMIZERS), Optimizer)],
        None,
        """
        {names}
        - 'lbfgs': Full-batch quasi-Newton; often best on small data. To look at each iteration or to stop early, use
          `callbacks`: they see loss and network after each iteration, and stop by returning True. Warm-started fits of
          one iteration each lose the curvature that L-BFGS gathers.

        'sgd' and 'adam' take the constants from this estimator's parameters, other names those of their class in
        `fastbp.optimizers` by default. An object has its own, which a grid search reaches as ``solver__beta_1``.
        As in scikit-learn, `partial_fit` goes on with the constants of its first call: to set `beta_1` or
        ``solver__beta_1`` afterwards has no effect until the next `fit`. Another solver counts at once.""",
        names=OPTIMIZERS,
    )

    alpha: float = parameter(
        0.0001,
        [Interval(Real, 0, None, closed="left")],
        "float",
        """
        Strength of the L2 penalty ``alpha / 2 * sum of squared weights``, divided by the batch's sum of sample weights.
        Biases are not penalized.""",
    )

    batch_size: int | str = parameter(
        "auto",
        [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "int or 'auto'",
        "Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.",
    )

    learning_rate: str | Schedule | Callable[[float], float] = parameter(
        "constant",
        [NameOrObject(SCHEDULES, Schedule, or_function=True)],
        None,
        """
        Schedule of the learning rate, for every solver but 'lbfgs'. The names 'invscaling' and 'adaptive' have no
        effect on 'adam', as in scikit-learn; objects of `fastbp.schedules` and the other names have. Patience is
        `n_iter_no_change`.

        {names}
        - or a function ``f(progress) -> factor`` of `learning_rate_init`, with the progress in [0, 1]

        'cosine', 'flat_cosine', 'warmup_cosine', 'one_cycle', 'coslog4' and functions change the rate in every step, by
        the steps done as a share of those in `max_iter` epochs. So all `max_iter` epochs are trained, without a
        ConvergenceWarning at the end: only `early_stopping` ends the training sooner. `partial_fit` does not know the
        end, and refuses them. With `warm_start`, the schedule starts anew in each `fit`.""",
        names=SCHEDULES,
    )

    learning_rate_init: float = parameter(
        0.001,
        [Interval(Real, 0, None, closed="neither")],
        "float",
        """
        Initial learning rate of the stochastic solvers; with schedules such as 'cosine', 'warmup_cosine' and
        'one_cycle' it is the largest one. `fastbp.find_learning_rate` suggests a value.""",
    )

    power_t: float = parameter_of(InverseScaling, "power_t")

    max_iter: int = parameter(
        200,
        [Interval(Integral, 1, None, closed="left")],
        "int",
        "Most epochs, or for 'lbfgs' iterations.",
    )

    shuffle: bool = parameter(True, ["boolean"], "bool", "Whether to shuffle the rows before each epoch.")

    random_state: int | np.random.RandomState | np.random.Generator | None = parameter(
        None,
        ["random_state", np.random.Generator],
        "int, RandomState instance, Generator instance or None",
        """
        For the initial weights, the validation split and the shuffles, consumed in scikit-learn's order. With an int,
        successive calls of `partial_fit` go on with one generator. A ``numpy.random.Generator`` gives the results of
        ``RandomState(generator.bit_generator)``, and goes on from there; scikit-learn does not accept one.""",
    )

    tol: float = parameter(
        1e-4,
        [Interval(Real, 0, None, closed="left")],
        "float",
        """
        What counts as an improvement of the loss or the validation score; for 'lbfgs', where the gradient is small
        enough.""",
    )

    verbose: bool | int = parameter(
        False,
        ["verbose"],
        "bool or int",
        """
        True, 1, or a number above 2 prints the loss (and the validation score) of every epoch, as in scikit-learn. 2
        shows a progress bar with loss, score, rows per second and the time left to `max_iter`, by tqdm or rich if one
        of them is installed.""",
    )

    warm_start: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether `fit` goes on from the weights of the last one. Optimizer and patience are new in every `fit`. With
        `early_stopping`, each holds out the same rows of the same data as the first one.""",
    )

    momentum: float = parameter_of(SGD, "momentum")

    nesterovs_momentum: bool = parameter_of(SGD, "nesterovs_momentum")

    early_stopping: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether to hold out `validation_fraction` of the rows, to stop when their score no longer improves, and to keep
        the weights with the best score. Rows given to `fit` as `X_val` take their place. Stratified for a binary
        target. Where all scores are alike until patience runs
        out, the loss on the held-out rows takes their place, with a warning. Rows of weight zero are not held out.""",
    )

    validation_fraction: float = parameter(
        0.1, [Interval(Real, 0, 1, closed="left")], "float", "Share of the rows that `early_stopping` holds out."
    )

    beta_1: float = parameter_of(Adam, "beta_1")

    beta_2: float = parameter_of(Adam, "beta_2")

    epsilon: float = parameter_of(Adam, "epsilon")

    n_iter_no_change: int | float = parameter(
        10,
        [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "int or inf",
        """
        Patience: training stops (or an adaptive learning rate falls) when more than so many epochs in a row bring no
        improvement by `tol`.""",
    )

    max_fun: int = parameter(
        15000, [Interval(Integral, 1, None, closed="left")], "int", "Most evaluations of the loss by 'lbfgs'."
    )

    layers: Sequence[Layer] | None = parameter(
        None,
        "no_validation",  # checked_layers does it
        "list of Layer or None",
        """
        The hidden layers as objects of `fastbp.layers`, in place of `hidden_layer_sizes` and `activation`, which are
        not used then: ``[Dense(100, "relu")]`` is the default network. The estimator adds the output layer, a `Dense`,
        and its activation. The first activation among the layers decides the bound of all initial weights. The fitted
        model has copies of the layers. Further training with `warm_start` or `partial_fit` can use layers with other
        factors of learning rate and penalty, but no other change. 'lbfgs' has no learning rate, and trains all layers
        alike. A sparse X can be read by `Dense` layers only. Missing numbers in X, which are NaN, are allowed if the
        first layer takes them, as all layers of columns of a table do, and a `Concatenate` or `Sum` of branches
        that begin with these. Layers that learn from the rows to train on, such as medians, do so at the beginning of
        the first fit.""",
    )

    output_layer: Dense | None = parameter(
        None,
        "no_validation",  # check_output_layer does it
        "Dense or None",
        """
        The settings of the output layer, which `layers` do not contain: an object of `fastbp.layers.Dense` with
        ``units=None``, such as ``Dense(None, parametrization="ntk", bias_learning_rate_factor=0.1)``. None for
        ``Dense(None)``. Its activation is that of the loss, or `output_activation`.""",
    )

    scoring: Any = parameter(
        None,
        [ScoringOption({LOSS, *get_scorer_names()})],
        "str, callable, None, or list or dict of these",
        """
        What is computed on the validation set after each epoch: None for accuracy or R^2, by the name 'score'; 'loss';
        the name of a scorer of scikit-learn (not where `predict` returns several numbers for a target, as for a list of
        quantiles), or a callable ``scorer(estimator, X, y)``. Of several, the first decides when `early_stopping` stops
        and which weights are best; all are in ``history_``. Larger is better; of 'loss' the negative is taken. Sample
        weights are passed to scorers that take them.""",
    )

    restore_best: bool = parameter(
        True,
        ["boolean"],
        "bool",
        "Whether `early_stopping` keeps the weights with the best score; else those of the last epoch.",
    )

    max_time: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="neither")],
        "float or None",
        """
        Seconds: training ends after the first epoch (for 'lbfgs': iteration) that ends later. Not a limit within an
        epoch.""",
    )

    weight_decay: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="left")],
        "float or None",
        """
        Decoupled weight decay of every stochastic solver: each step multiplies the weights, but not the biases, by
        ``1 - learning_rate * weight_decay`` (Loshchilov and Hutter, 2019). None for the solver's own: 0.01 of 'adamw'
        and 'muon', 0 of all others, and of an object its `weight_decay`, beside which there must be no number here.""",
    )

    weight_decay_schedule: str | ProgressSchedule | Callable[[float], float] | None = parameter(
        None,
        [None, PROGRESS_SCHEDULE],
        f"{PROGRESS_SCHEDULE.type_text} or None",
        """
        Schedule of the decoupled weight decay, also of the one that the solver has of its own: in each step it is
        multiplied by the factor of this schedule, besides that of `learning_rate`. The schedules, the progress, and
        what follows for `max_iter`, `partial_fit` and `warm_start` are those of `learning_rate`. None: it stays.""",
    )

    clip_norm: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="neither")],
        "float or None",
        """
        Largest norm of the gradient of a batch, by all parameters together that are trained, and with the penalties: a
        longer gradient is scaled back to it before the step (Pascanu, Mikolov and Bengio, 2013). None for no limit; not
        for 'lbfgs'.""",
    )

    max_norm: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="neither")],
        "float or None",
        """
        Largest norm of the weights of a unit, a column of ``coefs_[i]``: after each step, a longer column is scaled
        back to it (Hinton et al., 2012, arXiv:1207.0580). None for no limit; not for 'lbfgs' and
        'schedule_free'.""",
    )

    l1: float = parameter(
        0.0,
        [Interval(Real, 0, None, closed="left")],
        "float",
        """
        Strength of the L1 penalty ``l1 * sum of absolute weights``, on the weights that `alpha` penalizes and divided
        by the same sum. Its subgradient is ``l1 * sign(weights)``, so that weights come close to 0, but not to 0
        exactly; not for 'lbfgs', which needs a gradient that is continuous.""",
    )

    dropout: float | Sequence[float] = parameter(
        0.0,
        [Interval(Real, 0, 1, closed="left"), "array-like"],
        "float or sequence of float",
        """
        Rate of dropout after each hidden layer, in [0, 1): one for all, or one for each. In training, each output is
        set to 0 with this probability, and else divided by 1 minus the rate; predictions are made without it. See
        `fastbp.layers.Dropout`. Not for 'lbfgs', and not with `layers`, which take objects of this class. The losses
        in `loss_curve_` are those with dropout.""",
    )

    dropout_schedule: str | ProgressSchedule | Callable[[float], float] | None = parameter(
        None,
        [None, PROGRESS_SCHEDULE],
        f"{PROGRESS_SCHEDULE.type_text} or None",
        """
        Schedule of dropout: in each step all rates, those of `dropout`, `input_dropout` and of
        `fastbp.layers.Dropout`, are multiplied by the factor of this schedule, which must not exceed 1; see
        `weight_decay_schedule`. ``FlatCosine(flat=0.5)`` of `fastbp.schedules` ends without dropout, as Holzmüller et
        al. (2024), Better by default, propose it. None: the rates stay.""",
    )

    input_dropout: float = parameter(
        0.0,
        [Interval(Real, 0, 1, closed="left")],
        "float",
        "Rate of dropout of the features, as `dropout`. Not for a sparse X.",
    )

    mixup_alpha: float = parameter(
        0.0,
        [Interval(Real, 0, None, closed="left")],
        "float",
        """
        Training on mixed rows, ``lambda * x_i + (1 - lambda) * x_j`` with the target ``lambda * y_i + (1 - lambda) *
        y_j`` and lambda from the distribution Beta(mixup_alpha, mixup_alpha) (Zhang et al., 2018, mixup: Beyond
        empirical risk minimization); 0 for rows as they are. The authors use 0.1 to 0.4 for ImageNet and 1 for CIFAR;
        with 1, lambda is uniform. In each step one lambda is drawn, and a number of places: each row of the batch is
        mixed with the one that is so many places further. Targets of classes become rows of probabilities, in which the
        losses of classes are linear. With sample weights w, also by `class_weight`, the shares are ``lambda * w_i`` and
        ``(1 - lambda) * w_j``, divided by their sum, which is the weight of the mixture: a row of weight zero has no
        part in any. Predictions, scores and derivatives are those of rows as they are, the losses in `loss_curve_`
        those of mixed rows. Mixed targets spread less, so that it is refused with the losses 'gaussian' and 'quantile'
        (but for 0.5), which estimate the spread. Not for a sparse X and not for 'lbfgs'.""",
    )

    normalization: str | None = parameter(
        None,
        [None, StrOptions({"batch", "layer", "rms"})],
        "{'batch', 'layer', 'rms'} or None",
        """
        Normalization between each hidden layer and its activation. 'batch': each unit by its mean and standard
        deviation over the batch, and in predictions by running averages of these (`fastbp.layers.BatchNorm`). 'layer':
        each row by its mean and standard deviation (`fastbp.layers.LayerNorm`). 'rms': by its root mean square
        (`fastbp.layers.RMSNorm`). Not with `layers`, which take objects of these classes. With 'batch', the losses in
        `loss_curve_` are those with the statistics of the batches.""",
    )

    residual: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether to add a connection past each hidden layer that is as wide as the hidden layer before it. The
        pre-activations of hidden layer i are then
        ``z_i = z_(i-1) + s_i * (f_(i-1)(norm(z_(i-1))) W_i + b_i)``, without norm if there is no `normalization`, in
        place of ``z_i = f_(i-1)(norm(z_(i-1))) W_i + b_i``. The factors s_i, one for each unit, are trained. All begin
        at ``1 / sqrt(n)`` for n connections, by which their learning rate is multiplied too. So the variance of z and
        the effect of a step do not grow with n: 1,000 hidden layers can be trained, with `normalization` or without.
        ValueError if no hidden layer is as wide as the one before it. Not
        with `layers`, which take `fastbp.layers.Residual`. See He et al. (2016), Identity mappings in deep residual
        networks, figure 4e, for the order of the operations; Marion et al. (2025), Scaling ResNets in the large-depth
        regime, for ``1 / sqrt(n)``; Touvron et al. (2021), Going deeper with image transformers, for factors that are
        trained.""",
    )

    warmup: int | float = parameter(
        0,
        [Interval(Integral, 0, None, closed="left"), Interval(Real, 0, 1, closed="left")],
        "int or float",
        """
        Linear warm-up of the learning rate, for any schedule: an int is a number of epochs, a float below 1 a share of
        the `max_iter` epochs. The rate of the schedule is multiplied by ``min(1, t / T)`` in step t, counted from 1,
        with T the number of steps in the warm-up. `partial_fit` counts each call as an epoch, and takes an int only.
        Not used by 'lbfgs'. See Goyal et al. (2017), Accurate, large minibatch SGD, section 2.2.""",
    )

    ema_decay: float | None = parameter(
        None,
        [None, Interval(Real, 0, 1, closed="left")],
        "float or None",
        """
        Decay rate of an exponential moving average of the weights, in [0, 1); None for no average. After n steps the
        average is ``sum(ema_decay**(n - i) * w_i) / sum(ema_decay**(n - i))``, where w_i are the weights after step i:
        about the last ``1 / (1 - ema_decay)`` steps count. Predictions, `coefs_`, the score of `early_stopping` and
        callbacks use the average. Losses are those of the raw weights, `raw_params_`, from which `partial_fit` and
        `warm_start` continue; `partial_fit` continues the average too, and `fit` begins a new one. See Polyak and
        Juditsky (1992), Acceleration of stochastic approximation by averaging, and for the bias correction Kingma and
        Ba (2015), section 3. Not used by 'lbfgs'.""",
    )

    swa_start: float | None = parameter(
        None,
        [None, Interval(Real, 0, 1, closed="left")],
        "float or None",
        """
        Stochastic weight averaging: share of the `max_iter` epochs, in [0, 1), after which the weights at the end of
        each epoch are averaged, all with the same weight; None for no average. The average is used as with
        `ema_decay`; only one of the two may be set. All `max_iter` epochs are trained, unless `early_stopping` ends
        the training: without it, the schedules 'plateau' and 'adaptive', which wait for patience to run out, are
        refused. `partial_fit` does not know the number of epochs, and refuses `swa_start`. See Izmailov et al. (2018),
        Averaging weights leads to wider optima and better generalization. Not used by 'lbfgs'.""",
    )

    weight_init: str | Callable[..., Any] | None = parameter(
        None,
        [None, StrOptions({*INITIALIZERS, *DATA_DEPENDENT}), callable],
        "str, callable or None",
        """
        How the initial weights are drawn; for a layer with `fan_in` inputs and `fan_out` units:

        - None or 'scikit_learn': scikit-learn's draw, as 'glorot_uniform', with ``sqrt(2 / ...)`` for the logistic
          activation; biases are drawn in the same way. All others set the biases to 0.
        - 'glorot_uniform': Uniform in [-b, b], ``b = sqrt(6 / (fan_in + fan_out))``; 'glorot_normal': normal with
          variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010).
        - 'he_uniform': Uniform, ``b = sqrt(6 / fan_in)``; 'he_normal': normal with variance ``2 / fan_in``, for relu
          and its relatives (He et al., 2015, Delving deep into rectifiers).
        - 'lecun_uniform': Uniform, ``b = sqrt(3 / fan_in)``; 'lecun_normal': normal with variance ``1 / fan_in``, for
          selu (LeCun et al., 1998, Efficient BackProp).
        - 'orthogonal': Orthonormal columns, or rows where there are more columns than rows (Saxe et al., 2014).
        - 'data_dependent': Orthogonal; then, from the first layer to the last, each unit is scaled and shifted so that
          its pre-activation has mean 0 and variance 1 over at most 256 of the rows to train on, evenly spaced (Mishkin
          and Matas, 2016, All you need is a good init; Krähenbühl et al., 2016).
        - 'data_dependent_random_bias': Normal; then, from the first layer to the last, the weights of each unit are
          divided by the standard deviation of its pre-activation over at most 2,048 of the rows to train on (256 where
          there are very many features), evenly spaced, and its bias is minus a convex combination of its
          pre-activations in 5 of these rows: rows and weights, ``w_i / sum(w)`` with exponential w, are drawn for each
          unit, so that each is 0 somewhere else among the data (Holzmüller et al., 2024, Better by default: 'std'
          and 'he+5' of RealMLP).
        - A function ``weight_init(fan_in, fan_out, random_state) -> W``, W of shape (fan_in, fan_out).

        Further training with `warm_start` or `partial_fit` does not draw weights.""",
    )

    init_from: Any = parameter(
        None,
        "no_validation",  # take_over does it
        "fitted estimator, (coefs, intercepts) or None",
        """
        Initial parameters from another model, in place of drawn ones: an estimator of fastbp or scikit-learn, or two
        lists of arrays. All layers must have the shapes of this network, except for the output layer: if its shape
        differs, it is drawn. Arrays and estimators of scikit-learn give weights and biases only: the parameters of
        normalizations, `Scale` layers and activations such as 'prelu' have their initial values then. Further training
        with `warm_start` or `partial_fit` does not use it. Clones share the object. In the grid of a search, wrap an
        estimator in ``sklearn.frozen.FrozenEstimator``.""",
    )

    frozen_layers: Sequence[int] | None = parameter(
        None,
        [None, "array-like"],
        "sequence of int or None",
        """
        Indices in ``coefs_`` of layers whose weights and biases stay as they are: 0 is the first hidden layer, -1 the
        output layer. Their learning rate is 0, and the penalty does not count their weights; a normalization behind
        them is trained nevertheless. It can be changed between calls of `fit` with `warm_start`, or of `partial_fit`;
        of averaged weights (`ema_decay`, `swa_start`) the averages stay. Not with 'lbfgs'.""",
    )

    dtype: str | None = parameter(
        None,
        [None, StrOptions({*PRECISIONS})],
        "{'float32', 'float64', 'bfloat16'} or None",
        """
        Of the weights, and of the arithmetic of training. An X of another dtype is converted, into one copy that
        training holds; the X that was given is not changed. Predictions are then computed, and returned, in the dtype
        of the fitted weights, also for an X of another dtype. float32 takes half the memory and about half the time of
        float64; its rounding errors, some 1e-7 of a value, seldom matter in training with mini-batches.

        'bfloat16': X, weights and predictions are float32, and only the matrix products of training steps are in
        bfloat16, with float32 sums: wide layers train in about 0.6 of the time, with rounding errors of up to 0.4 % of
        a factor. For processors with AVX512_BF16: see `fastbp.show_config`; elsewhere `fit` raises ValueError, and a
        fitted model predicts the same. Not with 'lbfgs', which needs more precise gradients.

        None: the dtype of X in the first call of `fit` or `partial_fit`, float64 unless X is float32; predictions for a
        float64 X are computed in float64.

        `fit` with `warm_start` and `partial_fit` convert the fitted weights if `dtype` was changed; `partial_fit`
        begins with a new optimizer if they become other numbers. With None, they keep the dtype of the weights.""",
    )

    n_threads: int | None = parameter(
        None,
        [None, Interval(Integral, 1, None, closed="left")],
        "int or None",
        """
        At most so many threads; None for what the process may use, within ``OMP_NUM_THREADS`` and the limits that
        ``threadpoolctl.threadpool_limits`` and joblib's ``inner_max_num_threads`` set. In a thread of joblib's
        'threading' backend it is this number divided by the `n_jobs` threads, in a task of Dask by the number of tasks
        that run in the process at the same time. The model does not depend on it, to the last bit.""",
    )

    callbacks: Any = parameter(
        None,
        "no_validation",  # Callbacks does it
        "object or list of objects",
        """
        Each with any of the methods ``on_fit_begin(state)``, ``on_epoch_begin(state)``, ``on_epoch_end(state)``, which
        ends training by returning True, and ``on_fit_end(state)``, which is called however training ends. See
        `fastbp.training.TrainingState`, and `fastbp.callbacks` for checkpoints, a record, a falling learning rate and
        the pruning of Optuna's trials. For 'lbfgs' an epoch is an iteration. Clones of the estimator get deep copies,
        or share those that inherit from `fastbp.Callback`. scikit-learn's own callbacks are set by `set_callbacks`.""",
    )

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the estimator, or of the objects among them: ``solver__beta_1``.

        Parameters
        ----------
        **params : object
            By their names.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            For a name that there is not; also where what stands before ``__`` is a name and no object.
        """
        for key in params:
            name, _, nested = key.partition("__")
            owner = params.get(name, getattr(self, name, None))
            if nested and isinstance(owner, str):
                raise ValueError(
                    f"Invalid parameter {key!r} for estimator {type(self).__name__}: {name}={owner!r} is a name, which "
                    f"has no parameters of its own. Set {name} to an object first."
                )
        return super().set_params(**params)

    def _validate_params(self) -> None:
        super()._validate_params()
        check_update_options(self)
        check_output_layer(self.output_layer)

    def _check_value(self, name: str, value: Any) -> None:
        if isinstance(value, Parametrized):
            value._validate_params()
        elif isinstance(value, np.ndarray) and value.ndim == 0:  # for scikit-learn it is like an array
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(self).__name__} must not be an array without dimensions. Got "
                f"{value!r} instead; use {value.item()!r}."
            )


#: class of an optimizer or a schedule -> names of the parameters that stand for its fields
STAND_INS = {
    cls: [f.name for f in fields(MLPParameters) if f.metadata.get("stands_for") is cls]
    for cls in (*OPTIMIZERS.values(), *SCHEDULES.values())
}


def from_name(cls, estimator):
    """An object of `cls`, whose name was given: with those of the estimator's parameters that stand for its fields."""
    return cls(**{name: getattr(estimator, name) for name in STAND_INS.get(cls, ())})


def optimizer_of(estimator):
    """The optimizer that the parameter `solver` asks for."""
    solver = estimator.solver
    return from_name(OPTIMIZERS[solver], estimator) if isinstance(solver, str) else solver


def update_options_of(estimator):
    """What the updates of a stochastic solver do besides its formula, as `OptimizerState.attach` takes it: a dict."""
    return {name: getattr(estimator, name) for name in UPDATE_OPTIONS}


def check_update_options(estimator) -> None:
    """ValueError for parameters of the updates, an L1 penalty, and mixup, that the solver cannot follow."""
    solver = estimator.solver
    off = {**dict.fromkeys((*UPDATE_OPTIONS, *PROGRESS_SCHEDULES)), "l1": 0, "mixup_alpha": 0}
    for name in [name for name, value in off.items() if getattr(estimator, name) != value]:
        value = getattr(estimator, name)
        if not is_stochastic(solver):
            raise ValueError(
                f"solver={solver!r} has no {name}, got {name}={value!r}. Set {name}={off[name]}, or choose a "
                "stochastic solver."
            )
        if name == "max_norm" and optimizer_of(estimator).averages:
            raise ValueError(
                f"solver={solver!r} gives an average of weights, whose norm is not limited; got max_norm={value!r}. "
                "Set max_norm=None, or choose another solver."
            )
        if isinstance(solver, Optimizer) and name in solver.get_params():
            raise ValueError(
                f"{name}={value!r} and solver={solver!r}, which has a {name} of its own: set solver__{name}, and leave "
                f"{name}=None."
            )


def schedule_of(estimator):
    """The schedule that the parameter `learning_rate` asks for; an object is copied."""
    schedule = estimator.learning_rate
    if isinstance(schedule, Schedule):
        return copy(schedule)
    if not isinstance(schedule, str):
        return FunctionSchedule(schedule)
    counts = not SCHEDULES[schedule].is_for_sgd or optimizer_of(estimator).uses_named_schedules
    return from_name(SCHEDULES[schedule if counts else "constant"], estimator)


def progress_schedule_of(estimator, name):
    """The schedule that a parameter in ``PROGRESS_SCHEDULES`` asks for, or None; an object is copied.

    Parameters
    ----------
    estimator : BaseMLP
    name : str
        Of the parameter.

    Returns
    -------
    ProgressSchedule or None
    """
    schedule = getattr(estimator, name)
    if schedule is None or isinstance(schedule, ProgressSchedule):
        return copy(schedule)
    return SCHEDULES[schedule]() if isinstance(schedule, str) else FunctionSchedule(schedule, name)


def end_is_needed_by(estimator) -> str | None:
    """What makes the training depend on the number of its epochs: a parameter and its value, in words, or None."""
    schedule = estimator.learning_rate
    # a function is one of the progress
    if SCHEDULES[schedule].has_end if isinstance(schedule, str) else getattr(schedule, "has_end", True):
        return f"learning_rate={estimator.learning_rate!r}"
    for name in (*PROGRESS_SCHEDULES, "swa_start"):
        if getattr(estimator, name) is not None:
            return f"{name}={getattr(estimator, name)!r}"
    return None


def check_has_no_end(estimator) -> None:
    """ValueError where `partial_fit` is to do what depends on the number of epochs.

    Parameters
    ----------
    estimator : BaseMLP
    """
    what = end_is_needed_by(estimator)
    if what is None and not isinstance(estimator.warmup, Integral) and estimator.warmup > 0:
        what = f"warmup={estimator.warmup!r}"
    if what is not None:
        raise ValueError(
            f"partial_fit does not support {what}, which depends on the number of epochs: it does not know how many "
            "will come. Use fit; or a learning_rate such as 'constant' or 'plateau', an int as warmup, ema_decay, and "
            "weight decay and dropout without schedules."
        )


def prints_lines(estimator):
    """Whether `verbose` asks for a line in each epoch."""
    return bool(estimator.verbose) and estimator.verbose != PROGRESS_BAR


def is_stochastic(solver):
    """Whether the value of the parameter `solver` is one that trains in mini-batches."""
    return isinstance(solver, Optimizer) or (isinstance(solver, str) and solver in OPTIMIZERS)
