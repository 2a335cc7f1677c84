"""A model on a device without Python: how large is it in C, how fast, and does it predict the same?
=================================================================================================

To run it::

    python examples/19_without_python.py

`fastbp.to_c` writes a fitted estimator, here a pipeline of a scaler and a network, as one file in C99: weights as
constants, and a function for each method. It needs no library but math.h, allocates nothing and has no state. The
memory that it works in is a structure that the caller passes.

The script trains networks of several widths on handwritten digits, writes each of them as C, and, if a C compiler is
found, compiles a program with all of them. The program reads the test rows, which it predicts one after the other, as a
device would that reads a sensor. The predictions are compared with those of `predict`. A picture shows the accuracy
against the bytes of the weights: a few kB are enough for most digits.
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp
from fastbp import MLPClassifier

WIDTHS = (2, 4, 8, 16, 32, 64)
STEM = "19_without_python"

# The program: for each model the class of each row, and the seconds for all rows, many times over
MAIN = """\
#include <stdio.h>
#include <time.h>
{includes}
enum {{ N_ROWS = {n_rows}, N_FEATURES = {n_features}, TIMES = 20 }};
static float rows[N_ROWS][N_FEATURES];

#define RUN(model)                                                          \\
    do {{                                                                    \\
        model##_work work;                                                  \\
        const clock_t begin = clock();                                      \\
        for (int t = 0; t < TIMES; t++)                                     \\
            for (int i = 0; i < N_ROWS; i++)                                \\
                places[i] = model##_predict(rows[i], &work);                \\
        printf("%g", (double)(clock() - begin) / CLOCKS_PER_SEC / TIMES);   \\
        for (int i = 0; i < N_ROWS; i++)                                    \\
            printf(" %d", (int)model##_classes[places[i]]);                 \\
        printf("\\n");                                                       \\
    }} while (0)

int main(void) {{
    static int32_t places[N_ROWS];
    if (fread(rows, sizeof rows, 1, stdin) != 1)
        return 1;
{runs}
    return 0;
}}
"""


def train(width, X, y):
    """A pipeline with a network of one hidden layer, in float32: small processors compute in single precision."""
    network = MLPClassifier(
        hidden_layer_sizes=(width,),
        dtype="float32",
        solver="nadam",
        batch_size=32,
        learning_rate="one_cycle",
        learning_rate_init=0.02,
        max_iter=30,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    return make_pipeline(StandardScaler(), network).fit(X, y)


def compiled(compiler, sources, folder, n_rows, n_features):
    """The path of the program with these C files, prefix -> path."""
    includes = "".join(
        f'#define {prefix.upper()}_STATIC\n#include "{path.resolve()}"\n' for prefix, path in sources.items()
    )
    runs = "\n".join(f"    RUN({prefix});" for prefix in sources)
    main = folder / "main.c"
    main.write_text(MAIN.format(includes=includes, runs=runs, n_rows=n_rows, n_features=n_features))
    subprocess.run([compiler, "-std=c99", "-O2", "-o", folder / "main", main, "-lm"], check=True)
    return folder / "main"


X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X.astype(np.float32), y, random_state=0, stratify=y)
models = {f"digits{width}": train(width, X_train, y_train) for width in WIDTHS}
accuracies = {prefix: model.score(X_test, y_test) for prefix, model in models.items()}
assert accuracies["digits64"] > 0.95

# The weights, and for the scaler a shift and a factor of each column
n_bytes = {prefix: 4 * (model[-1].network_.n_params + 2 * X.shape[1]) for prefix, model in models.items()}

example = Path(f"{STEM}.c")
fastbp.to_c(models["digits16"], example, prefix="digits")
lines = example.read_text().splitlines()
print(f"{example}: a network with 16 hidden units in {len(lines)} lines, which begin:\n")
print("\n".join(lines[1:10]))

compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
seconds = {}
with tempfile.TemporaryDirectory(prefix=STEM) as folder:
    sources = {prefix: Path(folder, f"{prefix}.c") for prefix in models}
    for prefix, path in sources.items():
        fastbp.to_c(models[prefix], path, prefix=prefix)
    file_sizes = [path.stat().st_size for path in sources.values()]
    if compiler is None:
        print("\nNo C compiler is found: the files are written, and not compiled")
    else:
        program = compiled(compiler, sources, Path(folder), *X_test.shape)
        output = subprocess.run([program], input=X_test.tobytes(), stdout=subprocess.PIPE, check=True).stdout.decode()
        for (prefix, model), line in zip(models.items(), output.splitlines(), strict=True):
            of_all_rows, *labels = map(float, line.split())
            assert np.array_equal(labels, model.predict(X_test)), "C predicts what Python predicts"
            seconds[prefix] = of_all_rows / len(X_test)

begin = time.perf_counter()
for i in range(100):
    models["digits16"].predict(X_test[i : i + 1])
print(f"\none row in Python, by predict of the pipeline: {(time.perf_counter() - begin) / 100 * 1e6:.0f} µs")
print("\nhidden units    weights     C file   accuracy   one row in C")
times = {prefix: f"{1e6 * seconds[prefix]:.2f} µs" if seconds else "not compiled" for prefix in models}
for width, prefix, size in zip(WIDTHS, models, file_sizes, strict=True):
    sizes = f"{n_bytes[prefix] / 1000:8.1f} kB {size / 1000:7.1f} kB"
    print(f"{width:12}{sizes}{accuracies[prefix]:11.3f}{times[prefix]:>15}")

try:
    from matplotlib.figure import Figure
except ImportError:
    print("\nNo picture: matplotlib is not installed")
else:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([size / 1000 for size in n_bytes.values()], list(accuracies.values()), marker="o", color="#0072B2")
    for width, prefix in zip(WIDTHS, models, strict=True):
        place = n_bytes[prefix] / 1000, accuracies[prefix]
        note, style = f"{width}\n{times[prefix]}", dict(ha="center", va="top", fontsize="small")
        axes.annotate(note, place, xytext=(8, -6), textcoords="offset points", **style)
    axes.set(xscale="log", xlabel="kB of weights", ylabel="test accuracy")
    axes.set_title("Digits in C, with the number of hidden units and the time of a row")
    axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.margins(x=0.15, y=0.15)
    axes.grid(alpha=0.3)
    picture = Path(f"{STEM}.png")
    figure.savefig(picture, dpi=120)
    print(f"\nAccuracy against size: {picture}")
