"""The list of workloads.

A new row of the tables is an entry of `WORKLOADS`; a new kind of work is an entry of `jobs.JOBS`.
"""

import math
from dataclasses import dataclass, replace

from jobs import JOBS, flops_per_step

BOTH = ("float32", "float64")


@dataclass(frozen=True)
class Workload:
    """One row of the benchmark.

    Parameters
    ----------
    name : str
        Its name on the command line, usually the layer sizes.
    layer_sizes : tuple of int
        Number of features, hidden units of each layer, number of targets or classes.
    batch_size, n_samples : int
        Rows of a batch and of the whole data set.
    task : {"classification", "regression"}
        Decides the loss and the output layer.
    job : str, default="train"
        The kind of work: a name in `jobs.JOBS`.
    title : str, default=""
        Its name in the tables and the chart; by default `name`.
    dtypes : tuple of str, default=("float32",)
        Types in which it is timed by default.
    activation : {"relu", "tanh", "logistic"}, default="relu"
        Of the hidden layers.
    data : {"teacher", "digits", "iris"}, default="teacher"
        Source of the rows; see `data`.
    n_nonzeros : int, default=0
        Non-zeros of each row of a sparse X; 0 for a dense one.
    max_iter : int, default=0
        Epochs or iterations of a fit, for the jobs whose unit is a whole fit.
    peers : tuple of str, default=()
        The peers that take part; by default all that offer the job.
    option : str, default=""
        An option of training, a name in `options.OPTIONS`; by default none.
    large : bool, default=False
        Whether it is run only on request, because it needs much memory or disk space.
    short : bool, default=False
        Whether it was made shorter by `shortened`.
    """

    name: str
    layer_sizes: tuple
    batch_size: int
    n_samples: int
    task: str = "classification"
    job: str = "train"
    title: str = ""
    dtypes: tuple = ("float32",)
    activation: str = "relu"
    data: str = "teacher"
    n_nonzeros: int = 0
    max_iter: int = 0
    peers: tuple = ()
    option: str = ""
    large: bool = False
    short: bool = False

    @property
    def kind(self):
        """The entry of `jobs.JOBS`."""
        return JOBS[self.job]

    @property
    def heading(self):
        """The title, or the name if there is no title."""
        return self.title or self.name

    @property
    def is_binary(self):
        """Whether the output layer is one logistic unit, as in scikit-learn for two classes."""
        return self.task == "classification" and self.layer_sizes[-1] == 2

    @property
    def is_full_batch(self):
        """Whether a step takes all rows; they are not shuffled then."""
        return self.batch_size >= self.n_samples

    @property
    def trained_layer_sizes(self):
        """The sizes of the layers that are trained: one output unit for two classes."""
        return (*self.layer_sizes[:-1], 1) if self.is_binary else self.layer_sizes

    @property
    def steps_per_epoch(self):
        """Number of batches, the short last one included."""
        return math.ceil(self.n_samples / self.batch_size)

    @property
    def flops_per_step(self):
        """FLOPs of a step on a full batch; see `jobs.flops_per_step`."""
        return flops_per_step(self.trained_layer_sizes, self.batch_size)

    @property
    def flops_per_unit(self):
        """FLOPs of one unit of the job, or None; see `jobs.Job`."""
        return self.kind.count_flops(self) if self.kind.count_flops else None

    def with_option(self, option):
        """Return the same work with an option of training.

        Parameters
        ----------
        option : str
            A name in `options.OPTIONS`.

        Returns
        -------
        Workload
            `find` knows its name.
        """
        return replace(self, name=f"{self.name}+{option}", option=option)

    def shortened(self):
        """Return the same work on a tenth of the rows or iterations.

        Returns
        -------
        Workload
        """
        n_samples = min(self.n_samples, max(self.n_samples // 10, 2 * self.batch_size))
        return replace(self, n_samples=n_samples, max_iter=math.ceil(self.max_iter / 10), short=True)


def rows(n_samples):
    """Make a workload of the series over the number of rows; see `series`."""
    name = f"rows-{n_samples}"
    return Workload(name, (20, 100, 2), 200, n_samples, title=f"20-100-2, {n_samples:,} rows", peers=("fastbp",))


def depth(n_hidden):
    """Make a workload of the series over the number of layers; see `series`."""
    sizes, title = (8, *[8] * n_hidden, 8), f"8-[8]×{n_hidden}-8, 8 rows a step"
    return Workload(f"depth-{n_hidden}", sizes, 8, 800, title=title, peers=("fastbp",))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("4-8-3", (4, 8, 3), 32, 150, dtypes=BOTH),
        Workload("20-64-64-1", (20, 64, 64, 1), 128, 10_000, "regression", dtypes=BOTH),
        Workload("20-100-2", (20, 100, 2), 200, 10_000, dtypes=BOTH),
        Workload("64-100-10", (64, 100, 10), 200, 1_797, dtypes=BOTH),
        Workload("784-100-10", (784, 100, 10), 200, 10_000, dtypes=BOTH),
        Workload("784-512-256-10", (784, 512, 256, 10), 256, 10_000, dtypes=BOTH),
        Workload("1024-2048-2048-1000", (1024, 2048, 2048, 1000), 512, 4_096, dtypes=BOTH),
        Workload("32-[32]x50-10", (32, *[32] * 50, 10), 128, 4_096, title="32-[32]×50-10", dtypes=BOTH),
        # a wide first layer, whose weights and moments are streamed
        Workload("2000-300-1", (2000, 300, 1), 128, 3_000, "regression", dtypes=BOTH),
        Workload("online", (30, 50, 2), 1, 2_000, title="30-50-2, batch 1", dtypes=BOTH),
        Workload(
            "64-256-256-1",
            (64, 256, 256, 1),
            256,
            5_000,
            "regression",
            title="64-256-256-1 logistic",
            dtypes=BOTH,
            activation="logistic",
        ),
        # widths that are no multiples of vectors
        Workload("300-177-77-33-7", (300, 177, 77, 33, 7), 90, 8_000, dtypes=BOTH),
        Workload("13-37-29-5", (13, 37, 29, 5), 50, 6_000, title="13-37-29-5 tanh", dtypes=BOTH, activation="tanh"),
        # the benchmark of SimpleChains.jl
        Workload(
            "full-batch",
            (4, 32, 16, 4),
            10_000,
            10_000,
            "regression",
            title="4-32-16-4 tanh, full batch",
            activation="tanh",
        ),
        # scikit-learn is the only peer that takes sparse rows
        Workload(
            "sparse",
            (50_000, 100, 20),
            256,
            2_048,
            title="CSR 50,000-100-20",
            n_nonzeros=100,
            peers=("fastbp", "sklearn"),
        ),
        Workload(
            "lbfgs",
            (64, 100, 10),
            1_797,
            1_797,
            job="lbfgs",
            title="L-BFGS, 64-100-10, digits",
            # scikit-learn computes in float64 for every X, so the numbers of evaluations agree only for float64
            dtypes=BOTH,
            data="digits",
            max_iter=50,
        ),
        Workload(
            "predict-row",
            (20, 64, 64, 1),
            1,
            1,
            "regression",
            job="predict_row",
            title="predict one row, 20-64-64-1",
            dtypes=("float64",),
        ),
        Workload(
            "predict-rows",
            (784, 100, 10),
            200,
            100_000,
            job="predict",
            title="predict 10⁵ rows, 784-100-10",
        ),
        Workload(
            "fit-iris",
            (4, 100, 3),
            150,
            150,
            job="fit",
            title="whole fit, iris, 200 epochs",
            dtypes=BOTH,
            data="iris",
            max_iter=200,
        ),
        Workload(
            "fit-iris-1",
            (4, 100, 3),
            150,
            150,
            job="fit",
            title="whole fit, iris, 1 epoch",
            dtypes=BOTH,
            data="iris",
            max_iter=1,
        ),
        Workload(
            "grid-search",
            (64, 100, 10),
            200,
            1_797,
            job="grid_search",
            title="GridSearchCV, digits, 12 fits",
            data="digits",
            max_iter=200,
        ),
        Workload(
            "memmap",
            (784, 100, 10),
            200,
            # 2 GB of float32
            2**31 // (4 * 784),
            job="fit_memmap",
            title="fit on a 2 GB memmap",
            max_iter=1,
            large=True,
        ),
        rows(10_000),
        rows(100_000),
        rows(1_000_000),
        rows(10_000_000),
        depth(2),
        depth(16),
        depth(64),
        depth(128),
    )
}


def find(name):
    """The workload with this name, which may be that of an entry of `WORKLOADS` with an option of training.

    Parameters
    ----------
    name : str
        For example "20-64-64-1" or "20-64-64-1+dropout".

    Returns
    -------
    Workload
    """
    base, _, option = name.partition("+")
    return WORKLOADS[base].with_option(option) if option else WORKLOADS[base]
