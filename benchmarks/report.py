"""What is printed and written: figures from timings, tables from figures."""

from peers import PEERS


def describe_workload(workload):
    """Collect the facts about a workload that the JSON file holds.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    dict
    """
    return {
        "name": workload.name,
        "job": workload.job,
        "task": workload.task,
        "layer_sizes": list(workload.layer_sizes),
        "trained_layer_sizes": list(workload.trained_layer_sizes),
        "batch_size": workload.batch_size,
        "n_samples": workload.n_samples,
        "steps_per_epoch": workload.steps_per_epoch,
        "flops_per_step": workload.flops_per_step,
        "flops_per_epoch": workload.flops_per_epoch,
    }


def make_rows(workload, dtype, timings, peak):
    """Turn the timings of one workload into figures.

    Parameters
    ----------
    workload : workloads.Workload
        What was timed.
    dtype : {"float32", "float64"}
        In which arithmetic.
    timings : list of measure.Timing
        With samples.
    peak : float or None
        FLOP/s of all cores, when known.

    Returns
    -------
    list of dict
        One for each contender, in the order given. `share_of_peak` is a fraction;
        `times_slower_than_fastbp` is the ratio of the epochs' times; both are None when the other
        side of the ratio is missing.
    """
    seconds = {t.contender.peer.name: t.seconds_per_epoch for t in timings}
    own = seconds.get("fastbp")
    rows = []
    for timing in timings:
        epoch = timing.seconds_per_epoch
        rate = workload.flops_per_epoch / epoch
        rows.append(
            {
                "workload": workload.name,
                "dtype": dtype,
                "peer": timing.contender.peer.name,
                "n_threads": timing.contender.n_threads,
                "ms_per_epoch": 1e3 * epoch,
                "us_per_step": 1e6 * epoch / workload.steps_per_epoch,
                "gflops": 1e-9 * rate,
                "share_of_peak": rate / peak if peak else None,
                "times_slower_than_fastbp": epoch / own if own else None,
                "epochs_per_sample": timing.epochs,
                "samples_ms_per_epoch": [1e3 * sample for sample in timing.samples],
            }
        )
    return rows


def format_header(facts, peaks, dtypes):
    """Say on what machine the figures were taken.

    Parameters
    ----------
    facts : dict
        See `machine.machine_facts`.
    peaks : dict of str to float
        FLOP/s by dtype; empty when not measured.
    dtypes : list of str
        The types asked for.

    Returns
    -------
    str
    """
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    measured = [f"{dtype} {1e-9 * peaks[dtype]:.0f}" for dtype in dtypes if dtype in peaks]
    peak = f"{', '.join(measured)} GFLOP/s, all cores" if measured else "not measured"
    return "\n".join(
        (
            f"{facts['cpu']}, {facts['n_cores']} cores, {facts['system']}",
            f"Python {facts['python']}, {versions}",
            f"FMA peak: {peak}",
        )
    )


def format_table(workload, dtype, rows):
    """Format one workload's table.

    Parameters
    ----------
    workload : workloads.Workload
        What was timed.
    dtype : {"float32", "float64"}
        In which arithmetic.
    rows : list of dict
        See `make_rows`.

    Returns
    -------
    str
    """
    lines = [
        f"{workload.name}, {dtype}: batch {workload.batch_size}, {workload.n_samples} samples, "
        f"{workload.steps_per_epoch} steps an epoch, {1e-6 * workload.flops_per_step:.3g} MFLOP "
        "a step"
    ]
    if workload.is_binary:
        sizes = "-".join(map(str, workload.trained_layer_sizes))
        lines.append(f"  two classes are one logistic output: trained and counted as {sizes}")
    lines.append(
        f"  {'':13}{'threads':>8}{'ms/epoch':>11}{'us/step':>11}{'GFLOP/s':>10}{'% of peak':>11}   slower than fastbp"
    )
    for row in rows:
        share, slower = row["share_of_peak"], row["times_slower_than_fastbp"]
        lines.append(
            f"  {PEERS[row['peer']].title:13}{row['n_threads'] or 'auto':>8}"
            f"{significant(row['ms_per_epoch']):>11}{significant(row['us_per_step']):>11}"
            f"{significant(row['gflops']):>10}"
            f"{significant(100 * share) if share is not None else '-':>11}"
            f"{significant(slower) + ' times' if slower is not None else '-':>21}"
        )
    return "\n".join(lines)


def significant(value):
    """Format three significant digits without an exponent.

    Parameters
    ----------
    value : float

    Returns
    -------
    str
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"
