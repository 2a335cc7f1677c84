"""Where the time of a training step goes.

    python benchmarks/parts.py 20-100-2 float32 2

The arguments are a workload that trains, a type and the number of cores. Whole steps of the kernels are timed that
differ in one part, with one thread, in turn, and the fastest of several runs counts. Differences of these times are the
parts::

    gather        steps on rows picked through a shuffled index - steps on rows as they stand
    update        these - gradients alone
    activations   gradients - gradients of a network without activations of hidden layers
    loss          of the rows of a batch, timed by itself
    products      the rest of the gradients, with intercepts and the loop over the operations
    barriers      a step with all cores - the time of one thread divided by the cores: waiting at barriers, parts that
                  are not divided, and the memory that the cores share

The update is divided into its arithmetic, timed on numbers in the first-level cache, and the rest: memory, the penalty
and the transposed copies of the weights. The parts add up to the time of a step of one thread. `train.py` prints them
for the rows that are below their share of the limit; see `roofline`.
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from counted_work import make_network, make_targets
from data import make_data
from machine import measure_fma_peak
from workloads import find

#: Shortest time of a run, and runs of each
RUN_SECONDS, RUNS = 0.01, 15
#: Numbers whose update is timed: w, g and two moments of them fit into a first-level cache of 32 KB
IN_CACHE = 512


class Work:
    """The steps of a workload, in the variants that are compared.

    Parameters
    ----------
    workload : workloads.Workload
        With dense rows.
    dtype : {"float32", "float64"}
    n_cores : int
    """

    def __init__(self, workload, dtype, n_cores):
        self.workload, self.dtype, self.n_cores = workload, dtype, n_cores
        self.X, self.y = make_data(workload, dtype)
        self.n_steps = 1

    def make_loop(self, activation, n_threads, is_indexed, n_rows):
        """A loop with Adam on the first rows of the data."""
        from fastbp.kernels.data import Data
        from fastbp.kernels.dispatch import N_MEMORY
        from fastbp.kernels.plan import Plan
        from fastbp.kernels.program import TRAINING, Program
        from fastbp.kernels.training import TrainingLoop

        graph, params, loss = make_network(self.workload, self.dtype, activation)
        targets = make_targets(self.workload, self.y[:n_rows], self.dtype)
        data = Data(self.X[:n_rows], *targets, None, self.workload.trained_layer_sizes[-1])
        program = Program(graph, params.dtype, TRAINING, raw=loss != "squared_error", indexed=is_indexed)
        loop = TrainingLoop(Plan(program, params, loss, data, self.workload.batch_size, n_threads))
        state = [np.zeros_like(params), np.zeros_like(params)]
        memory = np.zeros((1, N_MEMORY))
        loop.set_optimizer([("adam", (0.9, 0.999, 1e-8))], [0] * len(graph.blocks), state, memory, 0, 1e-4)
        return loop

    def training(self, n_threads, is_indexed):
        """A function that takes `n_steps` steps: on rows through a shuffled index, or as they stand."""
        n_rows = self.workload.n_samples if is_indexed else self.n_steps * self.workload.batch_size
        loop = self.make_loop(self.workload.activation, n_threads, is_indexed, n_rows)
        order = np.random.default_rng(0).permutation(self.workload.n_samples)
        rows = order[: self.n_steps * self.workload.batch_size] if is_indexed else None

        def train():
            with loop:
                loop.train(rows, None, 1.0, np.full(1, 1e-6), np.empty(1))

        return train

    def gradients(self, activation):
        """A function that computes and adds up the gradients of as many batches."""
        loop = self.make_loop(activation, 1, False, self.n_steps * self.workload.batch_size)
        gradient = np.empty_like(loop.plan.params)
        return lambda: loop.loss_and_gradient(gradient)

    def losses(self, n_rows):
        """A function that computes the losses of some rows, and their gradients."""
        from fastbp.kernels import loss_on_raw

        outputs = self.workload.trained_layer_sizes[-1]
        Y, labels = make_targets(self.workload, self.y[:n_rows], self.dtype)
        if Y is None:
            Y = np.eye(outputs, dtype=self.dtype)[labels]
        Z = np.random.default_rng(0).standard_normal((n_rows, outputs), self.dtype)
        loss = make_network(self.workload, self.dtype)[2]
        return lambda: loss_on_raw(Y, Z, loss)

    def choose_steps(self):
        """Have each run take about `RUN_SECONDS`, on whole batches that are there."""
        first = self.training(1, True)
        seconds = fastest({"step": first}, 2)["step"]
        most = max(1, self.workload.n_samples // self.workload.batch_size)
        self.n_steps = min(most, max(1, math.ceil(RUN_SECONDS / seconds)))


def fastest(functions, runs=RUNS, clock=time.thread_time):
    """Time functions in turn.

    Parameters
    ----------
    functions : dict of str to callable
    runs : int
        Of each, beside one that is not timed.
    clock : callable, default=time.thread_time
        By default the time in which this thread was on a processor, whatever else the machine does.

    Returns
    -------
    dict of str to float
        Seconds of the fastest run of each. Runs are repeated inside until they take `RUN_SECONDS`, if they are short.
    """
    counts, found = {}, dict.fromkeys(functions, math.inf)
    for name, function in functions.items():
        function()
        begin = clock()
        function()
        seconds = max(clock() - begin, 1e-7)
        counts[name] = max(1, math.ceil(RUN_SECONDS / seconds))
    for _ in range(runs):
        for name, function in functions.items():
            begin = clock()
            for _ in range(counts[name]):
                function()
            found[name] = min(found[name], (clock() - begin) / counts[name])
    return found


def update_arithmetic(dtype):
    """Seconds of Adam's update of a number in the first-level cache.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Returns
    -------
    float
        Without the call, which the difference between two lengths does not have.
    """
    from fastbp.kernels import adam_update

    def update(n):
        g, w, m, v = (np.full(n, 0.5, dtype) for _ in range(4))
        return lambda: adam_update(g, w, m, v, 1)

    found = fastest({"long": update(IN_CACHE), "short": update(IN_CACHE // 4)})
    return max(0.0, (found["long"] - found["short"]) / (IN_CACHE - IN_CACHE // 4))


def measure_parts(workload, dtype, n_cores):
    """Time the parts of a step.

    Parameters
    ----------
    workload : workloads.Workload
        A workload that trains, with dense rows.
    dtype : {"float32", "float64"}
    n_cores : int

    Returns
    -------
    dict
        Seconds: ``step``, with one thread; its ``parts``; ``products_at_peak``, at the rate of fused multiply-adds of
        one core; ``update_arithmetic``; ``shared_step``, with all cores; and ``barriers``.
    """
    from fastbp.kernels.probes import memory_rate

    work = Work(workload, dtype, n_cores)
    work.choose_steps()
    runs = {
        "indexed": work.training(1, True),
        "standing": work.training(1, False),
        "gradients": work.gradients(workload.activation),
        "linear": work.gradients("identity"),
    }
    shared = fastest({"shared": work.training(n_cores, True)}, clock=time.perf_counter)
    times = {name: seconds / work.n_steps for name, seconds in {**fastest(runs), **shared}.items()}
    losses = fastest({"batch": work.losses(workload.batch_size), "row": work.losses(1)})
    params = make_network(workload, dtype)[1]
    # gradients alone are added to an array, which steps do not have
    adding = 2 * params.nbytes / memory_rate(params.nbytes, 0.02)
    found = parts_from(times, losses, adding, update_arithmetic(dtype) * params.size, n_cores)
    return {**found, "products_at_peak": workload.flops_per_step / measure_fma_peak(dtype, 1)}


def parts_from(times, losses, adding, arithmetic, n_cores):
    """Compute the parts from what was timed.

    Parameters
    ----------
    times : dict of str to float
        Seconds of a step: shared, indexed, standing, gradients, linear.
    losses : dict of str to float
        Seconds of the loss of a batch, and of a row.
    adding : float
        Seconds in which gradients are added up.
    arithmetic : float
        Seconds of the update of all parameters, without memory.
    n_cores : int

    Returns
    -------
    dict
        See `measure_parts`; without ``products_at_peak``.
    """
    loss = max(0.0, losses["batch"] - losses["row"])
    parts = {
        "products": times["linear"] - loss - adding,
        "activations": times["gradients"] - times["linear"],
        "loss": loss,
        "update": times["standing"] - times["gradients"] + adding,
        "gather": times["indexed"] - times["standing"],
    }
    return {
        "step": times["indexed"],
        "parts": parts,
        "update_arithmetic": min(arithmetic, parts["update"]),
        "shared_step": times["shared"],
        "barriers": times["shared"] - times["indexed"] / n_cores,
        "n_cores": n_cores,
    }


def describe_parts(found, format_number):
    """Put the parts into words.

    Parameters
    ----------
    found : dict
        See `measure_parts`.
    format_number : callable
        Formats a number of microseconds.

    Returns
    -------
    list of str
        Lines.
    """

    def us(seconds):
        return f"{format_number(1e6 * seconds)} µs"

    parts, n_cores = found["parts"], found["n_cores"]
    at_peak = found["products_at_peak"] / parts["products"] if parts["products"] > 0 else 0
    named = {
        "products": f", at {100 * at_peak:.0f} % of the FMA peak",
        "update": f", of it arithmetic {us(found['update_arithmetic'])}",
    }
    listed = ", ".join(
        f"{name} {us(seconds)} ({100 * seconds / found['step']:.0f} %{named.get(name, '')})"
        for name, seconds in parts.items()
    )
    lines = [f"a step of one thread takes {us(found['step'])}: {listed}"]
    if n_cores > 1:
        lines.append(
            f"a step with {n_cores} cores takes {us(found['shared_step'])}, {us(found['barriers'])} more than "
            f"{'half' if n_cores == 2 else f'1/{n_cores}'}: barriers, and what is not divided"
        )
    return lines


def parts_in_process(workload, dtype, n_cores):
    """Measure the parts in a process of its own, as contenders are.

    Parameters
    ----------
    workload, dtype, n_cores
        As for `measure_parts`.

    Returns
    -------
    dict
        See `measure_parts`.

    Raises
    ------
    RuntimeError
        If that process fails.
    """
    length = "short" if workload.short else "full"
    command = [sys.executable, __file__, workload.name, dtype, str(n_cores), length]
    process = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd())
    if process.returncode:
        raise RuntimeError(f"parts.py failed: {(process.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(process.stdout)


def main(name, dtype, n_cores, length="full"):
    """Measure the parts of one workload, and print them as JSON."""
    workload = find(name)
    print(json.dumps(measure_parts(workload.shortened() if length == "short" else workload, dtype, int(n_cores))))


if __name__ == "__main__":
    main(*sys.argv[1:])
