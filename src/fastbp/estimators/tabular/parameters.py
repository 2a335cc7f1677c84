"""The parameters of the tabular estimators, each described once."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from numbers import Integral, Real
from typing import Any

import numpy as np

from fastbp.activations import HIDDEN_ACTIVATIONS, TRAINED_ACTIVATIONS
from fastbp.compatibility import Interval, StrOptions
from fastbp.estimators.tabular.presets import PRESETS
from fastbp.kernels.dispatch import BIN_LIMIT, WAVE_LIMIT
from fastbp.parametrized import CachedParamNames, parameter, parametrized

#: What the activation of a hidden layer may be
BLENDED = tuple(name for name in HIDDEN_ACTIVATIONS if name != "identity" and name not in TRAINED_ACTIVATIONS)
#: Names of the presets
PRESET_NAMES = tuple(PRESETS["regression"])


@parametrized(eq=False)
class TabularParameters(CachedParamNames):
    """The parameters that the classifier and the regressor share."""

    preset: str = parameter(
        "default",
        [StrOptions(set(PRESET_NAMES))],
        f"{{{', '.join(map(repr, PRESET_NAMES))}}}",
        """
        Which ensemble of networks, its members, is trained. All settings of the members below that are not None take
        the place of those of the preset.

        - 'fast': One member, four below 1,000 rows, trained in two cycles of 6 and of 12 epochs.
        - 'default': Two members, four below 8,000 rows, and eight below 2,000. Each is trained in two cycles, of 12
          epochs with much dropout and of 28 with little. A member gives a model after each cycle.
        - 'best': Eight members, 16 below 8,000 rows, trained in the same way.""",
    )

    _: KW_ONLY

    n_ensemble: int | None = parameter(
        None,
        [None, Interval(Integral, 1, None, closed="left")],
        "int or None",
        "Number of members; None for that of the preset.",
    )

    epochs: int | None = parameter(
        None,
        [None, Interval(Integral, 1, None, closed="left")],
        "int or None",
        "Epochs of each member; None for those of the preset.",
    )

    time_budget: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="neither")],
        "float or None",
        """
        Seconds for `fit`. The speed of training is measured first, on a few batches; then members for which there is no
        time are left out, or all have fewer epochs. When the machine becomes slower meanwhile, the later cycles of the
        members have fewer epochs, and at the end of the time what is trained is returned: at least one model, of at
        least one epoch. None for no limit. With a limit, the model depends on the speed of the machine.""",
    )

    categorical_features: Any = parameter(
        "from_dtype",
        ["array-like", StrOptions({"from_dtype"}), None],
        "'from_dtype', array-like of bool, int or str, or None",
        """
        Which columns are categories: 'from_dtype' for those that hold strings, booleans or categories; a mask, or the
        numbers or names of columns; None for no column. A mask, numbers or names must tell all of them, also those
        that hold strings: text in any other column is an error.""",
    )

    hidden_layer_sizes: Sequence[int] | None = parameter(
        None,
        [None, "array-like", Interval(Integral, 1, None, closed="left")],
        "int, array-like of int, or None",
        "Units of each hidden layer of a member; None for those of the preset.",
    )

    activation: str | None = parameter(
        None,
        [None, StrOptions(set(BLENDED))],
        "str or None",
        """
        Function f of the hidden layers, which compute ``z + alpha * (f(z) - z)`` with a trained alpha for each unit;
        None for that of the preset.""",
    )

    learning_rate_init: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="neither")],
        "float or None",
        """
        Largest learning rate, by which those of the weights are ``learning_rate_init / sqrt(fan_in)``; None for that of
        the preset.""",
    )

    batch_size: int | str | None = parameter(
        None,
        [None, StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "int, 'auto' or None",
        """
        Rows of a mini-batch, about: the rows are divided evenly. None for that of the preset; 'auto' for 256 from 8,000
        rows on, and down to 16 with fewer rows, so that there are enough steps. With the preset 'fast', it is half of
        that.""",
    )

    dropout: float | None = parameter(
        None,
        [None, Interval(Real, 0, 1, closed="left")],
        "float or None",
        """
        Rate of dropout after each hidden layer in the first half of the training, from where it falls to 0; None for
        that of the preset.""",
    )

    weight_decay: float | None = parameter(
        None,
        [None, Interval(Real, 0, None, closed="left")],
        "float or None",
        """
        Decoupled weight decay in the first half of the training, from where it falls to 0; None for that of the
        preset.""",
    )

    numeric_embedding: str | None = parameter(
        "piecewise_linear",
        [None, StrOptions({"piecewise_linear", "periodic"})],
        "{'piecewise_linear', 'periodic'} or None",
        """
        What a number becomes before the first fully connected layer, besides itself: a piecewise linear function of it
        with trained values at the edges of bins, or periodic functions with trained frequencies; None for the number
        alone.""",
    )

    n_bins: int | None = parameter(
        None,
        [None, Interval(Integral, 2, BIN_LIMIT, closed="both")],
        "int or None",
        f"Bins of a column for the piecewise linear embedding at most, up to {BIN_LIMIT}; None for that of the preset.",
    )

    embedding_width: int | None = parameter(
        None,
        [None, Interval(Integral, 1, WAVE_LIMIT, closed="both")],
        "int or None",
        f"Numbers that a number is embedded in, up to {WAVE_LIMIT}; None for that of the preset.",
    )

    oob_fraction: float | None = parameter(
        None,
        [None, Interval(Real, 0, 0.5, closed="both")],
        "float or None",
        """
        Share of the rows that a member is not trained on: its out-of-bag rows, by which the models are weighted,
        probabilities calibrated and intervals measured. The shares of the members are disjoint, as long as there are
        rows for that. None for that of the preset: 1/20 of many rows, 1/10 below 8,000, and 1/8 below 2,000. 0 to train
        all members on all rows: then the models have equal weights, and there are no intervals. So it is with fewer
        than 20 rows, and with a share of less than a row. Rows of weight zero are never out of bag. Rows given to `fit`
        as `X_val` take the place of the out-of-bag rows.""",
    )

    early_stopping: bool = parameter(
        False,
        ["boolean"],
        "bool",
        """
        Whether each cycle of a member stops when the score of its out-of-bag rows (accuracy, or R^2), or of `X_val`,
        has not improved for a quarter of the epochs of the cycle, and keeps the weights of its best epoch. Without such
        rows it has no effect. The schedules are made for all epochs, so that this seldom helps.""",
    )

    random_state: int | np.random.RandomState | np.random.Generator | None = parameter(
        None,
        ["random_state", np.random.Generator],
        "int, RandomState instance, Generator instance or None",
        "For the out-of-bag rows, the initial weights, the shuffles and dropout.",
    )

    verbose: bool | int = parameter(
        False,
        ["verbose"],
        "bool or int",
        """
        True, 1, or a number above 2 prints a line for each model that is finished; 2 shows a progress bar, by tqdm or
        rich if one of them is installed.""",
    )

    callbacks: Any = parameter(
        None,
        "no_validation",  # Callbacks does it
        "object or list of objects",
        """
        As for `fastbp.MLPClassifier`: each is called in the training of every member. Members are trained at the same
        time, in threads; each has a copy of the callbacks, except for those that inherit from `fastbp.Callback`, which
        are shared. Each cycle of a member is a training of its own, with a beginning and an end. A callback that
        returns True ends the cycle; the next one goes on from there.""",
    )

    n_threads: int | None = parameter(
        None,
        [None, Interval(Integral, 1, None, closed="left")],
        "int or None",
        """
        At most so many threads; None for what the process may use, see `fastbp.MLPClassifier`. Several members are
        trained at the same time, each in one thread; a single one in all. The model does not depend on it, to the last
        bit.""",
    )
