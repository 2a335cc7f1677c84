"""A quarter of the labels is wrong: what keeps a network from learning the errors by heart?
=========================================================================================

To run it::

    python examples/11_regularisation.py

A network with 26,000 weights and biases can fit 600 rows perfectly, wrong labels included. It learns what the rows have
in common first: its test accuracy rises, and then falls again while the wrong labels are learned one by one (Zhang et
al., 2017, Understanding deep learning requires rethinking generalization; Arpit et al., 2017, A closer look at
memorization in deep networks). Four ways of regularisation::

    dropout           random zeros in training; each unit has to be useful without the others
    weight decay      each step makes all weights smaller by the same factor; AdamW(weight_decay=...)
    ema               predictions are made with an average of the weights over the last steps, not with the last ones
    early stopping    training ends when the score on a validation set gets no better, and the best weights are restored

The script trains on handwritten digits. Of the training and of the validation set, a quarter of the labels is replaced
by wrong ones. For each way, it prints means over four seeds, each with its own split, errors and initial weights.

What helps here: dropout most, and early stopping nearly as much, in a third of the epochs. Dropout of the features adds
little. Weight decay helps if it is as strong as 3; with 0.01, the default of `AdamW`, and a learning rate of 0.001,
720 steps make the weights smaller by 0.7 % in all. An average over about 100 steps (decay 0.99), 8 epochs, forgets the
good weights too and helps little; one over 1,000 steps includes all of this short training, and helps. All together are
not better than the best of them.
"""

import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastbp import MLPClassifier
from fastbp.optimizers import AdamW

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # all epochs are wanted

EPOCHS, SEEDS, N_TRAIN, N_VALIDATION, WRONG = 60, 4, 600, 200, 0.25
STOPPING = {"early_stopping": True, "n_iter_no_change": 10}
KINDS = {
    "none": {},
    "dropout 0.5": {"dropout": 0.5},
    "dropout 0.5, of features 0.2": {"dropout": 0.5, "input_dropout": 0.2},
    "weight decay 0.01": {"solver": AdamW(weight_decay=0.01)},
    "weight decay 3": {"solver": AdamW(weight_decay=3.0)},
    "ema 0.99": {"ema_decay": 0.99},
    "ema 0.999": {"ema_decay": 0.999},
    "early stopping": STOPPING,
    "early stopping, last weights": {**STOPPING, "restore_best": False},
    "all together": {**STOPPING, "dropout": 0.5, "solver": AdamW(weight_decay=1.0), "ema_decay": 0.99},
}

X_all, y_all = load_digits(return_X_y=True)  # scans of handwritten digits, 8 x 8 pixels, 0 to 16
X_all = (X_all / 8 - 1).astype(np.float32)


def noisy_digits(seed):
    """Training, validation and test set; the labels of the first two are partly wrong."""
    X, X_test, y, y_test = train_test_split(X_all, y_all, train_size=N_TRAIN + N_VALIDATION, random_state=seed)
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(len(y)) < WRONG, (y + rng.integers(1, 10, len(y))) % 10, y)
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:], X_test, y_test


def train(options, seed):
    """The scores after each epoch, and those of the fitted model."""
    X, y, X_val, y_val, X_test, y_test = noisy_digits(seed)
    scoring = {
        "noisy": "accuracy",  # the first one decides when to stop, the others are recorded
        "train": lambda model, X_val, y_val: model.score(X, y),
        "test": lambda model, X_val, y_val: model.score(X_test, y_test),
    }
    settings = {"alpha": 0.0, "batch_size": 50, "max_iter": EPOCHS, "n_iter_no_change": np.inf, "n_threads": 1}
    model = MLPClassifier((128, 128), scoring=scoring, random_state=seed, **settings | options)
    model.fit(X, y, X_val=X_val, y_val=y_val)  # without early stopping, the validation set is for the record only
    return model.history_, model.score(X, y), model.score(X_test, y_test)


history, table = {}, {}
print(f"Accuracy, mean of {SEEDS} seeds; labels of the training data are wrong, those of the test data right")
print("                                train     test   worst seed   best epoch   epochs")
for name, options in KINDS.items():
    runs = [train(options, seed) for seed in range(SEEDS)]
    history[name] = [record for record, _, _ in runs]
    on_train, on_test = np.mean([run[1] for run in runs]), np.array([run[2] for run in runs])
    best = np.mean([max(record["validation_test"]) for record in history[name]])
    epochs = np.mean([len(record["loss"]) for record in history[name]])
    table[name] = on_train, on_test.mean(), best
    print(f"{name:28}{on_train:9.3f}{on_test.mean():9.3f}{on_test.min():13.3f}{best:13.3f}{epochs:9.0f}")
print("best epoch: the test accuracy after the epoch in which it is largest, which nobody knows without test data")

# %%
# Claims
# ------

on_train, on_test, best_of_none = table["none"]
assert on_train > 0.95  # the wrong labels are learned by heart,
assert on_test < best_of_none - 0.05  # after the test accuracy was much better
for name in ("dropout 0.5", "dropout 0.5, of features 0.2", "weight decay 3", "ema 0.999", "early stopping"):
    assert table[name][1] > on_test + 0.02
for name in ("weight decay 0.01", "ema 0.99"):
    assert abs(table[name][1] - on_test) < 0.05
assert table["early stopping"][1] > table["early stopping, last weights"][1]
assert table["all together"][1] < max(accuracy for _, accuracy, _ in table.values())

# %%
# Picture
# -------

try:
    from matplotlib.figure import Figure
except ImportError:
    print("No picture: matplotlib is not installed")
else:
    shown = ["none", "dropout 0.5, of features 0.2", "weight decay 3", "ema 0.999", "early stopping", "all together"]
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, name in zip(panels.flat, shown, strict=True):
        for seed, record in enumerate(history[name]):
            epochs = range(1, len(record["loss"]) + 1)
            for part, color in (("train", "tab:orange"), ("test", "tab:blue")):
                label = {"train": "training data, with wrong labels", "test": "test data"}[part] if seed == 0 else None
                axes.plot(epochs, record[f"validation_{part}"], color=color, linewidth=1.2, alpha=0.8, label=label)
        axes.axhline(
            table[name][1], color="tab:blue", linestyle="--", linewidth=1, label="fitted model on test data, mean"
        )
        axes.set(title=f"{name}: {table[name][1]:.3f}", ylim=(0.5, 1.02))
        axes.grid(alpha=0.3)
    for axes in panels[1]:
        axes.set_xlabel("epoch")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"accuracy, {SEEDS} seeds")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig("11_regularisation.png", dpi=120)
    print("The picture is in 11_regularisation.png")
