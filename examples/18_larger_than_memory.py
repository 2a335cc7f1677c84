"""Training on rows that do not fit into memory
============================================

To run it::

    python examples/18_larger_than_memory.py

A table is written to 50 .npy files, as a program would write them that gets its rows one part after the other. The
files are sorted by time, and the data drift: the boundary between the two labels turns once from the first file to the
last.

`fit_batches` reads the files in blocks, mixes the rows within a window, and trains on them while a thread reads the
next window. In memory are two windows and a block. The larger a window, the better its rows are mixed:

* A window for all rows gives the model of `fit`, to the last bit.
* Smaller windows take less memory. The files come in another order in each epoch, so that a window of 20,000 rows
  still has rows of 20 different times, and the accuracy stays.
* With windows of one file each, the network adapts to one time after the other, and forgets the times before.
* With `shuffle=False` the files are read in their order. The network ends with the latest time, and knows little else.

The memory is that of NumPy's arrays. `python benchmarks/larger_than_memory.py` limits that of the whole process.
"""

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

from fastbp import MLPClassifier

N_FILES, ROWS, N_FEATURES = 50, 1000, 10
PARAMS = {
    "hidden_layer_sizes": (32,),
    "learning_rate": "one_cycle",
    "learning_rate_init": 0.01,
    "max_iter": 6,
    "batch_size": 100,
    "random_state": 0,
}


def rows_of(time, seed):
    """Rows of one time, in [0, 1): the third feature is the time, the last column the label."""
    X = np.random.default_rng(seed).standard_normal((ROWS, N_FEATURES), np.float32)
    X[:, 2] = time
    angle = 2 * np.pi * time
    return np.column_stack([X, X[:, 0] * np.cos(angle) + X[:, 1] * np.sin(angle) > 0])


def megabytes(function, *arguments, **options):
    """The result of a call, and the memory that it took at most."""
    tracemalloc.start()
    result = function(*arguments, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak / 1e6


def fit_in_memory(folder):
    """Load all files, and fit."""
    table = np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))])
    return MLPClassifier(**PARAMS).fit(np.ascontiguousarray(table[:, :-1]), table[:, -1])


def draw(found, path):
    """Accuracy and memory against the rows of a window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, column, label in ((left, 1, "test accuracy"), (right, 2, "memory in MB")):
        for shuffle, style in ((True, "o-"), (False, "s")):
            points = [(rows, *figures) for (rows, is_mixed), figures in found.items() if is_mixed == shuffle]
            axes.plot(
                [point[0] for point in points],
                [point[column] for point in points],
                style,
                label="files in another order\nin each epoch" if shuffle else "shuffle=False",
            )
        axes.set(xscale="log", xlabel="rows of a window", ylabel=label)
    left.legend(loc="center right", fontsize="small")
    figure.suptitle(f"{N_FILES * ROWS:,} rows in {N_FILES} files that are sorted by time", fontsize="medium")
    figure.savefig(path, dpi=120)


def main():
    """Compare windows of different sizes."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(N_FILES):
            np.save(folder / f"part-{number:02}.npy", rows_of(number / N_FILES, number))
        test = np.concatenate([rows_of(number / N_FILES, N_FILES + number)[::20] for number in range(N_FILES)])
        X_test, y_test = test[:, :-1], test[:, -1]

        fitted, peak = megabytes(fit_in_memory, folder)
        print(f"{'fit':34} {peak:5.1f} MB, test accuracy {fitted.score(X_test, y_test):.4f}")
        for rows, shuffle in ((N_FILES * ROWS, True), (20 * ROWS, True), (ROWS, True), (ROWS, False)):
            model = MLPClassifier(**PARAMS, shuffle=shuffle)
            _, peak = megabytes(model.fit_batches, f"{folder}/*.npy", target=-1, shuffle_rows=rows)
            found[rows, shuffle] = model.score(X_test, y_test), peak
            what = f"windows of {rows:,} rows{'' if shuffle else ', in order'}"
            print(f"{what:34} {peak:5.1f} MB, test accuracy {found[rows, shuffle][0]:.4f}")
            if rows == N_FILES * ROWS:
                assert np.array_equal(model.network_.params, fitted.network_.params)
                print("    the weights are those of fit, to the last bit")
    assert found[20 * ROWS, True][0] > found[ROWS, True][0] > found[ROWS, False][0]
    try:
        draw(found, Path("18_larger_than_memory.png"))
    except ImportError:
        print("No picture: matplotlib is not installed")
    else:
        print("Accuracy and memory: 18_larger_than_memory.png")


if __name__ == "__main__":
    main()
