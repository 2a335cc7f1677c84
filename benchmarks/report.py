"""Results: compute figures from timings, and format them as tables."""

from jobs import bytes_per_step
from peers import PEERS
from roofline import ITEMSIZE, limit_of, target_of

LIMITS = {"FMA": "fma_seconds", "memory": "memory_seconds"}


def titles_of(document):
    """The titles of the workloads.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    dict of str to str
        Name -> title.
    """
    return {workload["name"]: workload["title"] for workload in document["workloads"]}


def describe_workload(workload):
    """Collect the facts about a workload that the JSON file holds.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    dict
    """
    has_steps = workload.kind.has_steps
    return {
        "name": workload.name,
        "title": workload.heading,
        "job": workload.job,
        "unit": workload.kind.unit,
        "task": workload.task,
        "layer_sizes": list(workload.layer_sizes),
        "trained_layer_sizes": list(workload.trained_layer_sizes),
        "activation": workload.activation,
        "batch_size": workload.batch_size,
        "n_samples": workload.n_samples,
        "n_nonzeros_per_row": workload.n_nonzeros or None,
        "max_iter": workload.max_iter or None,
        "steps_per_unit": workload.steps_per_epoch if has_steps else None,
        "flops_per_step": workload.flops_per_step if has_steps else None,
        "flops_per_unit": workload.flops_per_unit,
        "is_shortened": workload.short,
    }


def make_rows(workload, dtype, timings, rates, copy_rate=None):
    """Turn the timings of one workload into figures.

    Parameters
    ----------
    workload : workloads.Workload
        What was timed.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    timings : list of measure.Timing
        With samples.
    rates : roofline.Rates
        Of all cores; without those that are not known.
    copy_rate : float or None
        Bytes/s of a copy by all cores, or None if it is not known.

    Returns
    -------
    list of dict
        One for each contender, in the order given. `share_of_peak` and `share_of_limit` are fractions; `limit` is that
        of `roofline.limit_of`, and `limit_target` the share of it that fastbp should reach;
        `times_slower_than_fastbp` is the ratio of the units' times; figures that do not apply or are not known are
        None.
    """
    seconds = {t.contender.peer.name: t.seconds_per_unit for t in timings}
    own = seconds.get("fastbp")
    flops, peak = workload.flops_per_unit, rates.fma.get(dtype)
    rows = []
    for timing in timings:
        unit = timing.seconds_per_unit
        step = unit / workload.steps_per_epoch if workload.kind.has_steps else None
        rate = flops / unit if flops else None
        traffic = bytes_per_step(workload, ITEMSIZE[dtype]) / step if workload.n_nonzeros else None
        limit = limit_of(workload, dtype, rates, timing.contender.facts)
        rows.append(
            {
                "workload": workload.name,
                "dtype": dtype,
                "peer": timing.contender.peer.name,
                "n_threads": timing.contender.n_threads,
                "busy_cores": timing.contender.busy_cores,
                "ms_per_unit": 1e3 * unit,
                "us_per_step": 1e6 * step if step else None,
                "gflops": 1e-9 * rate if rate else None,
                "share_of_peak": rate / peak if rate and peak else None,
                "limit": limit,
                "share_of_limit": limit["seconds"] / unit if limit else None,
                "limit_target": target_of(workload),
                "bytes_per_second": traffic,
                "share_of_copy": traffic / copy_rate if traffic and copy_rate else None,
                "times_slower_than_fastbp": unit / own if own else None,
                "units_per_sample": timing.units,
                "samples_ms_per_unit": [1e3 * sample for sample in timing.samples],
                "facts": timing.contender.facts,
            }
        )
    return rows


def is_below_target(row):
    """Whether a row of fastbp does not reach the share of the limit that it should.

    Parameters
    ----------
    row : dict
        See `make_rows`.

    Returns
    -------
    bool
    """
    share, target = row["share_of_limit"], row["limit_target"]
    return row["peer"] == "fastbp" and None not in (share, target) and share < target


def format_header(facts, peaks, dtypes, copy_rate=None):
    """Say on what machine the figures were taken.

    Parameters
    ----------
    facts : dict
        See `machine.machine_facts`.
    peaks : dict of str to float
        FLOP/s by dtype; empty when not measured.
    dtypes : list of str
        The types asked for.
    copy_rate : float or None
        Bytes/s of a copy.

    Returns
    -------
    str
    """
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    measured = [f"{dtype} {1e-9 * peaks[dtype]:.0f}" for dtype in dtypes if dtype in peaks]
    peak = f"{', '.join(measured)} GFLOP/s, all cores" if measured else "not measured"
    lines = [
        f"{facts['cpu']}, {facts['n_cores']} cores, {facts['isa'] or 'unknown ISA'}, {facts['system']}",
        f"Python {facts['python']}, {versions}",
        f"FMA peak: {peak}",
    ]
    if copy_rate:
        lines.append(f"copy: {1e-9 * copy_rate:.1f} GB/s read and written, all cores")
    return "\n".join(lines)


def format_heading(workload, dtype):
    """Say what one workload is.

    Parameters
    ----------
    workload : workloads.Workload
    dtype : {"float32", "float64"}

    Returns
    -------
    str
    """
    facts = [f"{workload.n_samples:,} samples"]
    if workload.kind.has_steps:
        facts += [f"batch {workload.batch_size}", f"{workload.steps_per_epoch} steps an epoch"]
        if workload.flops_per_unit:
            facts.append(f"{1e-6 * workload.flops_per_step:.3g} MFLOP a step")
    lines = [f"{workload.heading}, {dtype}: {', '.join(facts)}"]
    if workload.short:
        lines.append("  shortened by --quick: not the workload that the name says")
    if workload.is_binary:
        sizes = "-".join(map(str, workload.trained_layer_sizes))
        lines.append(f"  two classes are one logistic output: trained and counted as {sizes}")
    return "\n".join(lines)


def format_table(workload, dtype, rows):
    """Format one workload's table and the notes below it.

    Parameters
    ----------
    workload : workloads.Workload
        What was timed.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    rows : list of dict
        See `make_rows`.

    Returns
    -------
    str
    """
    kind = workload.kind
    unit, factor = (f"µs/{kind.unit}", 1e3) if kind.prefix == "u" else (f"ms/{kind.unit}", 1)
    lines = [
        format_heading(workload, dtype),
        f"  {'':13}{'threads':>8}{unit:>11}{'us/step':>11}{'GFLOP/s':>10}{'% of peak':>11}{'% of limit':>12}"
        "   slower than fastbp",
    ]
    for row in rows:
        share, slower, of_limit = row["share_of_peak"], row["times_slower_than_fastbp"], row["share_of_limit"]
        lines.append(
            f"  {PEERS[row['peer']].title:13}{row['n_threads'] or 'auto':>8}"
            f"{significant(factor * row['ms_per_unit']):>11}{significant(row['us_per_step']):>11}"
            f"{significant(row['gflops']):>10}{significant(100 * share if share else None):>11}"
            f"{significant(100 * of_limit if of_limit else None):>12}"
            f"{significant(slower) + ' times' if slower else '-':>21}"
        )
    lines += [f"  {PEERS[row['peer']].title}: {note}" for row in rows for note in notes(row)]
    evaluations = {row["facts"].get("evaluations") for row in rows}
    if len(evaluations) > 1:
        lines.append("  the numbers of evaluations differ: compare the time of one")
    return "\n".join(lines)


def notes(row):
    """Sentences for what a contender reported besides its time.

    Parameters
    ----------
    row : dict
        See `make_rows`.

    Returns
    -------
    list of str
    """
    facts, found = row["facts"], []
    if row["peer"] == "fastbp" and row["limit"]:
        found.append(describe_limit(row))
    if row["bytes_per_second"]:
        share = f", {100 * row['share_of_copy']:.0f} % of a copy" if row["share_of_copy"] else ""
        found.append(f"moves at least {1e-9 * row['bytes_per_second']:.2f} GB/s{share}")
    if "epochs" in facts:
        found.append(f"{facts['epochs']} epochs a fit")
    if "evaluations" in facts:
        each = row["ms_per_unit"] / facts["evaluations"]
        found.append(
            f"{facts['iterations']} iterations, {facts['evaluations']} evaluations, {significant(each)} ms each"
        )
    if "threads_allowed_per_process" in facts:
        found.append(
            f"{facts['threads_allowed_per_process']} threads allowed in each process; "
            f"running at once: {facts['running_threads_median']} in the median, {facts['running_threads_max']} at most"
        )
    if "anonymous_growth_bytes" in facts:
        found.append(
            f"memory grows by {1e-6 * facts['anonymous_growth_bytes']:.1f} MB and "
            f"{1e-6 * facts['file_pages_growth_bytes']:.0f} MB of pages of the file, "
            f"which has {1e-6 * facts['file_bytes']:.0f} MB"
        )
    return found


def describe_limit(row):
    """Say what the limit of a row is, and whether the row reaches its share.

    Parameters
    ----------
    row : dict
        See `make_rows`; with a limit.

    Returns
    -------
    str
    """
    limit, target = row["limit"], row["limit_target"]
    times = ", ".join(f"{what} {significant(1e6 * limit[key])} µs" for what, key in LIMITS.items() if limit[key])
    aim = f"; less than the {100 * target:.0f} % that are aimed at" if is_below_target(row) else ""
    return f"{100 * row['share_of_limit']:.0f} % of the limit, which is set by {limit['bound']} ({times}){aim}"


def significant(value):
    """Format three significant digits without an exponent; "-" for None.

    Parameters
    ----------
    value : float or None

    Returns
    -------
    str
    """
    if value is None:
        return "-"
    # three digits of 99.96 are 100
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"
