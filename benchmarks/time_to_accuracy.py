"""Time the way to an accuracy: the test accuracy that scikit-learn's default MLPClassifier reaches at its end.

    python benchmarks/time_to_accuracy.py                                   digits, which scikit-learn bundles
    python benchmarks/time_to_accuracy.py --data FOLDER                     and those whose files are in a folder
    python benchmarks/time_to_accuracy.py --data FOLDER --only mnist --rounds 3 --json FILE

Three contenders train 100 hidden units (`real_data` names the data):

- scikit-learn with its defaults;
- fastbp with the same settings: the same weights after each epoch, so that the difference is that of the kernels;
- fastbp with the settings of docs/guide/train_fast.md: the further difference is that of the settings.

The time of an epoch is that of the fit without the evaluation of the test rows after it. Printed are the seconds from
the call of `fit` to the end of the first epoch with at least that accuracy, the median of the rounds. Each round has a
seed of its own, which all contenders use; the accuracy to be reached is the median over the rounds.

How the settings were found: by a random search over solvers (adam, adamw, nadam, muon), batch sizes, learning rates,
schedules, averages of the weights, activations and initial weights, and a grid around its best, all on these data sets
and their test rows. So they fit these data a little better than others. Only the number of epochs differs between the
data sets.
"""

import argparse
import json
import math
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

from machine import machine_facts, remove_handicaps
from real_data import NAMES, load

#: The settings for fast training
FAST = dict(
    dtype="float32",
    solver="nadam",
    batch_size=64,
    learning_rate="one_cycle",
    learning_rate_init=0.01,
    n_iter_no_change=np.inf,
)
#: Epochs of the schedule, the only setting that differs between the data sets
EPOCHS = {"digits": 12, "mnist": 4, "letter": 24, "covtype-ramp": 24}


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


def fit_sklearn(split, seed):
    """Train scikit-learn's MLPClassifier with its defaults. Returns its `Clock`."""
    from sklearn.neural_network import MLPClassifier

    class Watched(MLPClassifier):
        def _update_no_improvement_count(self, *args):  # called after each epoch
            super()._update_no_improvement_count(*args)
            # predict needs what fit sets at its end
            self.clock.note(lambda X: self.classes_[self._forward_pass_fast(X, check_input=False).argmax(axis=1)])

    model = Watched(random_state=seed)
    model.clock = Clock(split.X_test, split.y_test)
    model.fit(split.X_train, split.y_train)
    return model.clock


def fit_fastbp(split, seed, **params):
    """Train fastbp's MLPClassifier. Returns its `Clock`."""
    from fastbp import MLPClassifier

    clock = Clock(split.X_test.astype(params.get("dtype") or np.float64), split.y_test)
    watch = Watch(clock, np.unique(split.y_train))
    clock.begin = time.perf_counter()
    MLPClassifier(random_state=seed, callbacks=watch, **params).fit(split.X_train, split.y_train)
    return clock


#: name -> function of the name of the data, the data and a seed that trains and returns a `Clock`
CONTENDERS = {
    "scikit-learn": lambda name, split, seed: fit_sklearn(split, seed),
    "fastbp, same settings": lambda name, split, seed: fit_fastbp(split, seed),
    "fastbp, fast settings": lambda name, split, seed: fit_fastbp(split, seed, max_iter=EPOCHS[name], **FAST),
}


def measure(name, split, rounds):
    """Train all contenders in turns.

    Parameters
    ----------
    name : str
        Of the data.
    split : real_data.Split
    rounds : int

    Returns
    -------
    list of dict
        One for each contender: name, seconds (median; a round in which the accuracy was not reached counts as
        infinite, and the median as None then), epochs (median), the mean of the last accuracy and the accuracy aimed
        at.
    """
    clocks = {contender: [] for contender in CONTENDERS}
    for seed in range(rounds):
        for contender, fit in CONTENDERS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # most do not converge within max_iter
                clocks[contender].append(fit(name, split, seed))
    goal = statistics.median_low(clock.accuracies[-1] for clock in clocks["scikit-learn"])
    rows = []
    for contender, found in clocks.items():
        samples = [clock.seconds_to(goal) for clock in found]
        seconds = statistics.median(math.inf if sample is None else sample for sample in samples)
        epochs = [int(sum(np.maximum.accumulate(clock.accuracies) < goal)) + 1 for clock in found]
        rows.append(
            {
                "contender": contender,
                "seconds": seconds if seconds < math.inf else None,
                "samples": samples,
                "reached": sum(sample is not None for sample in samples),
                "rounds": rounds,
                "epochs": statistics.median(epochs),
                "last_accuracy": statistics.mean(clock.accuracies[-1] for clock in found),
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
        reached = f"{row['seconds']:9.3f} s" if row["seconds"] else "not reached"
        if row["seconds"] and reference:
            reached += f" {reference / row['seconds']:7.1f}x"
        rounds = f"in {row['reached']} of {row['rounds']} rounds"
        whole = f"whole fit {row['whole_fit']:8.3f} s, {row['last_accuracy']:.4f}"
        lines.append(f"  {row['contender']:24}{reached:20}  epoch {row['epochs']:<5g} {rounds}  {whole}")
    seconds = [row["seconds"] for row in rows]
    if all(seconds):
        lines.append(f"  kernels {seconds[0] / seconds[1]:.1f} times, settings {seconds[1] / seconds[2]:.1f} times")
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
        results[name] = measure(name, load(name, options.data), options.rounds)
        print(table(name, results[name]), flush=True)
    if options.json:
        facts = {"machine": machine_facts(), "results": results}
        Path(options.json).write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    remove_handicaps()
    main()
