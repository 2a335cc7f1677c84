"""Recognize handwritten digits with fastbp and with scikit-learn
==============================================================

To run it::

    python examples/quickstart.py
    python examples/quickstart.py --figure loss.png

The digits are scans of 8 × 8 pixels that come with scikit-learn. Both libraries train the same network from the same
initial weights on the same batches, so they find the same model; fastbp needs less time.
"""

import argparse
import time

from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp


def draw_losses(path, models, seconds):
    """Draw the loss against epochs, where the curves are the same, and against time.

    All epochs of a fit are assumed to take the same time.
    """
    # matplotlib.figure instead of pyplot: it opens no window and changes no global state
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    by_epoch, by_time = figure.subplots(1, 2, sharey=True)
    styles = {
        "scikit-learn": {"color": "#E69F00", "linewidth": 5},
        "fastbp": {"color": "#0072B2", "linewidth": 2, "linestyle": "--"},
    }
    for name, style in styles.items():
        loss = models[name].loss_curve_
        epochs = range(1, len(loss) + 1)
        by_epoch.plot(epochs, loss, label=name, **style)
        by_time.plot([seconds[name] * e / len(loss) for e in epochs], loss, label=name, **style)
    by_epoch.set(xlabel="epoch", ylabel="training loss", yscale="log", title="Loss against epochs")
    by_time.set(xlabel="time (s, log scale)", xscale="log", title="Loss against time")
    for axes in (by_epoch, by_time):
        axes.grid(alpha=0.3)
    by_epoch.legend()
    figure.savefig(path, dpi=150)


# %%
# Train both
# ----------

parser = argparse.ArgumentParser(description="Recognize handwritten digits with fastbp and with scikit-learn.")
parser.add_argument("--figure", metavar="PATH", default="quickstart_loss.png")
figure_path = parser.parse_args().figure

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)

parameters = {"hidden_layer_sizes": (100, 50), "max_iter": 400, "random_state": 0}
models = {
    "scikit-learn": neural_network.MLPClassifier(**parameters),
    "fastbp": fastbp.MLPClassifier(**parameters),
}

accuracy, seconds = {}, {}
for name, model in models.items():
    pipeline = make_pipeline(StandardScaler(), model)
    time.sleep(0.5)  # threads of a BLAS library keep a core busy for a moment after the last product
    start = time.perf_counter()
    pipeline.fit(X_train, y_train)
    seconds[name] = time.perf_counter() - start
    accuracy[name] = pipeline.score(X_test, y_test)
    print(
        f"{name:12}  {accuracy[name]:.2%} of {len(y_test)} test digits correct, "
        f"{model.n_iter_} epochs in {seconds[name]:.3f} s"
    )
print(f"fastbp is {seconds['scikit-learn'] / seconds['fastbp']:.1f} times as fast")

# %%
# Picture
# -------

try:
    draw_losses(figure_path, models, seconds)
except ImportError:
    print("No picture of the loss curves: matplotlib is not installed")
else:
    print(f"The loss curves are in {figure_path}")

# The same model, up to rounding errors: the predictions differ for at most two of the test digits.
assert abs(accuracy["fastbp"] - accuracy["scikit-learn"]) <= 2 / len(y_test) + 1e-12
assert accuracy["fastbp"] > 0.95
