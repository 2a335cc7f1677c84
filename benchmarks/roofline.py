"""The limit that the machine sets to the time of a workload, by the roofline model (Williams, Waterman and Patterson,
2009, Roofline: an insightful visual performance model for multicore architectures)::

    seconds >= max(FLOPs / peak of fused multiply-adds, sum of bytes / rate of the memory where they lie)

FLOPs are those of the matrix products (see `jobs.flops_per_step`), bytes the fewest that any implementation moves (see
`traffic`). Values of hidden units are not counted: blocks of rows may pass through the whole network inside the
first-level cache. Activations, losses and the arithmetic of the optimizer are not counted either. All rates are
measured in the same run, with all cores.
"""

from dataclasses import dataclass

from jobs import n_weights

ITEMSIZE = {"float32": 4, "float64": 8}
#: Bytes of a column's number in a sparse row
INDEX_BYTES = 4
#: Which share of the limit a step should reach at least: these workloads half of it ...
HALF = ("20-100-2", "20-64-64-1")
#: ... and others, if a step has more FLOPs than this, three quarters
LARGE_FLOPS = 1e6


@dataclass(frozen=True)
class Rates:
    """What was measured of a machine, with all cores.

    Parameters
    ----------
    fma : dict of str to float
        FLOP/s of fused multiply-adds, by dtype.
    memory : dict of int to float
        Bytes/s of reading and writing in place, by the size of the arrays.
    """

    fma: dict
    memory: dict

    def of_size(self, n_bytes):
        """The rate for arrays of a size: that of the smallest measured ones that are not smaller, or of the largest.
        A smaller size that was measured to be slower was disturbed, and counts as fast as the larger one.

        Parameters
        ----------
        n_bytes : int

        Returns
        -------
        float
            Bytes/s.
        """
        smallest = min((size for size in self.memory if size >= n_bytes), default=max(self.memory))
        return max(rate for size, rate in self.memory.items() if size >= smallest)


@dataclass(frozen=True)
class Traffic:
    """Bytes that a unit of work moves.

    Parameters
    ----------
    what : str
    n_bytes : int
        That are read or written; a number that is changed in place counts twice.
    lies_in : int
        Size of the arrays that are gone through before the same number is needed again, in bytes.
    """

    what: str
    n_bytes: int
    lies_in: int


def row_bytes(workload, itemsize):
    """Bytes of a row of X.

    Parameters
    ----------
    workload : workloads.Workload
    itemsize : int

    Returns
    -------
    int
    """
    if workload.n_nonzeros:
        return workload.n_nonzeros * (itemsize + INDEX_BYTES)
    return workload.layer_sizes[0] * itemsize


def n_params(workload):
    """Number of weights and intercepts.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    int
    """
    sizes = workload.trained_layer_sizes
    return n_weights(sizes) + sum(sizes[1:])


def epoch_traffic(workload, itemsize):
    """What an epoch of training with Adam moves at least: each row of X once. In each step, all P parameters are read
    in the forward pass, those behind the first layer in the backward pass too, and in the update all of them and their
    two moments are read and written. With sparse rows, the rows of the first matrix that the forward pass reads are
    not counted.

    Parameters
    ----------
    workload : workloads.Workload
    itemsize : int

    Returns
    -------
    list of Traffic
    """
    sizes, params = workload.trained_layer_sizes, n_params(workload)
    behind = params - (sizes[0] + 1) * sizes[1]
    passes = 2 * behind if workload.n_nonzeros else params + behind
    rows = row_bytes(workload, itemsize) * workload.n_samples
    state = 3 * itemsize * params
    steps = workload.steps_per_epoch
    return [
        Traffic("rows of X", rows, rows),
        Traffic("parameters in both passes", steps * itemsize * passes, state),
        Traffic("update", steps * 2 * state, state),
    ]


def evaluation_traffic(workload, itemsize):
    """What a gradient of all rows moves at least: each row of X once, the parameters as in `epoch_traffic`, and the
    gradient, which is written.

    Parameters
    ----------
    workload : workloads.Workload
    itemsize : int

    Returns
    -------
    list of Traffic
    """
    rows, passes, _ = epoch_traffic(workload, itemsize)
    own = itemsize * n_params(workload)
    return [
        rows,
        Traffic(passes.what, passes.n_bytes // workload.steps_per_epoch, 2 * own),
        Traffic("gradient", own, 2 * own),
    ]


def forward_traffic(workload, itemsize):
    """What a forward pass of all rows moves at least: each row of X and each parameter once.

    Parameters
    ----------
    workload : workloads.Workload
    itemsize : int

    Returns
    -------
    list of Traffic
    """
    rows, own = row_bytes(workload, itemsize) * workload.n_samples, itemsize * n_params(workload)
    return [Traffic("rows of X", rows, rows), Traffic("parameters", own, own)]


def passes_of(workload, facts):
    """What a unit of a workload consists of.

    Parameters
    ----------
    workload : workloads.Workload
    facts : dict
        What the contender reported: the epochs of a fit, or the evaluations of L-BFGS.

    Returns
    -------
    times : int
    traffic : callable
        The function above that counts the bytes of one.
    is_forward : bool
        Whether there is no backward pass; or None, if it is not known how many there are.
    """
    if workload.job in ("predict", "predict_row"):
        return 1, forward_traffic, True
    if workload.job == "lbfgs":
        return (facts["evaluations"], evaluation_traffic, False) if "evaluations" in facts else None
    epochs = {"train": 1, "fit_memmap": workload.max_iter}.get(workload.job, facts.get("epochs"))
    return (epochs, epoch_traffic, False) if epochs else None


def limit_of(workload, dtype, rates, facts):
    """The least time of a unit on this machine.

    Parameters
    ----------
    workload : workloads.Workload
    dtype : {"float32", "float64"}
    rates : Rates
    facts : dict
        See `passes_of`.

    Returns
    -------
    dict or None
        ``seconds``, ``bound`` ("FMA" or "memory"), ``fma_seconds``, ``memory_seconds`` and ``bytes``. None if it is
        not known how much work a unit is, as for searches, or if the peak was not measured.
    """
    found = passes_of(workload, facts)
    if not found or dtype not in rates.fma or not rates.memory:
        return None
    times, count_traffic, is_forward = found
    traffic = count_traffic(workload, ITEMSIZE[dtype])
    memory = times * sum(t.n_bytes / rates.of_size(t.lies_in) for t in traffic)
    flops = 0
    if not workload.n_nonzeros:  # sparse products depend on where the non-zeros are
        sizes = workload.trained_layer_sizes
        flops = 2 * n_weights(sizes) if is_forward else 6 * n_weights(sizes) - 2 * sizes[0] * sizes[1]
    arithmetic = times * flops * workload.n_samples / rates.fma[dtype]
    return {
        "seconds": max(arithmetic, memory),
        "bound": "FMA" if arithmetic >= memory else "memory",
        "fma_seconds": arithmetic,
        "memory_seconds": memory,
        "bytes": times * sum(t.n_bytes for t in traffic),
    }


def target_of(workload):
    """Which share of the limit fastbp should reach.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    float or None
        None: fixed costs of a step or a call outweigh its arithmetic, and there is no target.
    """
    if not workload.kind.has_steps or workload.n_nonzeros:
        return None
    sizes = "-".join(map(str, workload.layer_sizes))
    if sizes in HALF:
        return 0.5
    return 0.75 if workload.flops_per_step > LARGE_FLOPS else None


def describe_memory(rates):
    """Put the rates of memory into words.

    Parameters
    ----------
    rates : Rates

    Returns
    -------
    str
    """
    sizes = sorted(rates.memory)[::2]
    listed = ", ".join(f"{format_size(size)} {1e-9 * rates.of_size(size):.0f}" for size in sizes)
    return f"read and written in place, GB/s of all cores: {listed}"


def format_size(n_bytes):
    """Format a power of two of bytes.

    Parameters
    ----------
    n_bytes : int

    Returns
    -------
    str
    """
    return f"{n_bytes >> 20} MB" if n_bytes >= 2**20 else f"{n_bytes >> 10} KB"
