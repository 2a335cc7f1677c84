"""Time the way to an accuracy: the test accuracy that scikit-learn's default MLPClassifier reaches at its end.

    python benchmarks/time_to_accuracy.py                                   digits, which scikit-learn bundles
    python benchmarks/time_to_accuracy.py --data FOLDER                     and those whose files are in a folder
    python benchmarks/time_to_accuracy.py --data FOLDER --only mnist --rounds 3 --json FILE

Three contenders train 100 hidden units (`real_data` names the data):

- scikit-learn with its defaults;
- fastbp with the same settings: the same weights after each epoch, so that the difference is that of the kernels;
- fastbp with the recipe for fast training of the user guide: the further difference is that of the recipe.

The time of an epoch is that of the fit without the evaluation of the test rows after it. Printed are the seconds from
the call of `fit` to the end of the first epoch with at least that accuracy, the median of the rounds.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

from machine import machine_facts, remove_handicaps
from real_data import NAMES, load

#: The settings of the recipe, beside float32 arithmetic
RECIPE = dict(max_iter=15, batch_size=128, learning_rate_init=4e-3)


class Clock:
    """The time of a fit without that of the evaluations, and the test accuracy after each epoch.

    Parameters
    ----------
    X, y : ndarray
        Test rows.

    Attributes
    ----------
    seconds, accuracies : list of float
        Of each epoch.
    """

    def __init__(self, X, y):
        self.X, self.y = X, y
        self.seconds, self.accuracies = [], []
        self.paused, self.begin = 0.0, time.perf_counter()

    def note(self, predict):
        """Note the end of an epoch.

        Parameters
        ----------
        predict : callable
            ``predict(X) -> y``
        """
        now = time.perf_counter()
        self.seconds.append(now - self.begin - self.paused)
        self.accuracies.append(float(np.mean(predict(self.X) == self.y)))
        self.paused += time.perf_counter() - now

    def seconds_to(self, accuracy):
        """Seconds to the end of the first epoch with at least this accuracy; None if there is none."""
        reached = (s for s, a in zip(self.seconds, self.accuracies, strict=True) if a >= accuracy)
        return next(reached, None)


class Watch:
    """A callback of fastbp that notes each epoch at a `Clock`."""

    def __init__(self, clock, classes):
        self.clock, self.classes = clock, classes

    def on_epoch_end(self, state):
        """Predict the test rows with the network in training."""
        self.clock.note(lambda X: self.predict(state.network, X))

    def predict(self, network, X):
        """The class with the largest output."""
        output = network.forward(X)
        return self.classes[output.argmax(axis=1) if output.shape[1] > 1 else (output[:, 0] > 0.5).astype(int)]


def fit_sklearn(split):
    """Train scikit-learn's MLPClassifier with its defaults. Returns its `Clock`."""
    from sklearn.neural_network import MLPClassifier

    class Watched(MLPClassifier):
        def _update_no_improvement_count(self, *args):  # called after each epoch
            super()._update_no_improvement_count(*args)
            # predict needs what fit sets at its end
            self.clock.note(lambda X: self.classes_[self._forward_pass_fast(X, check_input=False).argmax(axis=1)])

    model = Watched(random_state=0)
    model.clock = Clock(split.X_test, split.y_test)
    model.fit(split.X_train, split.y_train)
    return model.clock


def fit_fastbp(split, dtype, **params):
    """Train fastbp's MLPClassifier. Returns its `Clock`; the conversion of the rows to `dtype` counts."""
    from fastbp import MLPClassifier

    clock = Clock(split.X_test.astype(dtype), split.y_test)
    watch = Watch(clock, np.unique(split.y_train))
    clock.begin = time.perf_counter()
    X = split.X_train.astype(dtype, copy=False)
    MLPClassifier(random_state=0, callbacks=watch, **params).fit(X, split.y_train)
    return clock


#: name -> function of the data that trains and returns a `Clock`
CONTENDERS = {
    "scikit-learn": fit_sklearn,
    "fastbp, same settings": lambda split: fit_fastbp(split, np.float64),
    "fastbp, recipe": lambda split: fit_fastbp(split, np.float32, **RECIPE),
}


def measure(split, rounds):
    """Train all contenders in turns.

    Parameters
    ----------
    split : real_data.Split
    rounds : int

    Returns
    -------
    list of dict
        One for each contender: name, seconds (median; None if the accuracy was not reached in all rounds), epochs,
        the last accuracy and the accuracy aimed at.
    """
    clocks = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, fit in CONTENDERS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # most do not converge within max_iter
                clocks[name].append(fit(split))
    goal = clocks["scikit-learn"][0].accuracies[-1]
    rows = []
    for name, found in clocks.items():
        seconds = [clock.seconds_to(goal) for clock in found]
        rows.append(
            {
                "contender": name,
                "seconds": None if None in seconds else statistics.median(seconds),
                "samples": seconds,
                "epochs": sum(a < goal for a in np.maximum.accumulate(found[0].accuracies)) + 1,
                "last_accuracy": found[0].accuracies[-1],
                "whole_fit": statistics.median(clock.seconds[-1] for clock in found),
                "goal": goal,
            }
        )
    return rows


def table(name, rows):
    """Format the results of one data set."""
    reference = rows[0]["seconds"]
    lines = [f"{name}: test accuracy {rows[0]['goal']:.4f}"]
    for row in rows:
        reached = f"{row['seconds']:9.3f} s {reference / row['seconds']:7.1f}x" if row["seconds"] else "not reached"
        lines.append(
            f"  {row['contender']:24}{reached:20}  epoch {row['epochs']:<4}"
            f"  whole fit {row['whole_fit']:8.2f} s, {row['last_accuracy']:.4f}"
        )
    return "\n".join(lines)


def main(arguments=None):
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="where the files of mnist, letter and covtype-ramp are")
    parser.add_argument("--only", action="append", choices=NAMES, help="a data set; may be repeated")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    names = options.only or (NAMES if options.data else ("digits",))
    results = {}
    for name in names:
        results[name] = measure(load(name, options.data), options.rounds)
        print(table(name, results[name]), flush=True)
    if options.json:
        facts = {"machine": machine_facts(), "results": results}
        Path(options.json).write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    remove_handicaps()
    main()
