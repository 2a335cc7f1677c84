"""How fastbp stands beside the best of its peers in each row of `train.py`."""

from peers import PEERS
from report import significant, titles_of

#: How many times as fast as the best peer fastbp should be at least
GOAL = 1.25


def best_peers(results):
    """Find the fastest peer of each workload and type.

    Parameters
    ----------
    results : list of dict
        See `report.make_rows`.

    Returns
    -------
    list of dict
        With the keys workload, dtype, peer and ratio, the peer's time divided by fastbp's; those below `GOAL` also
        have ``is_below``, True. Rows without fastbp or without peers are left out.
    """
    found = {}
    for row in results:
        ratio = row["times_slower_than_fastbp"]
        if row["peer"] == "fastbp" or not ratio:
            continue
        key = row["workload"], row["dtype"]
        if key not in found or ratio < found[key]["ratio"]:
            named = {"workload": row["workload"], "dtype": row["dtype"], "peer": row["peer"], "ratio": ratio}
            found[key] = {**named, "is_below": ratio < GOAL}
    return list(found.values())


def describe_machine(document):
    """The machine in a line: processor, cores, and its measured peaks.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    str
    """
    machine = document["machine"]
    name = f"{machine['cpu']}, {machine['n_cores']} cores, {machine['isa']}"
    if machine.get("vendor"):
        name = f"{machine['vendor']} family {machine['family']} model {machine['model']} ({name})"
    peaks = [f"{dtype} {1e-9 * peak:.0f} GFLOP/s" for dtype, peak in document["fma_peak_flops"].items()]
    rate = document.get("copy_bytes_per_second")
    copy = [f"copy {1e-9 * rate:.1f} GB/s"] if rate else []
    return ", ".join([name, *(["FMA peak " + ", ".join(peaks)] if peaks else []), *copy])


def describe_standing(document):
    """Say which rows are below `GOAL` times the best peer, and on which machine that was seen.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    list of str
        A sentence, and a line for each of these rows; empty if there are no peers.
    """
    rows = best_peers(document["results"])
    if not rows:
        return []
    titles = titles_of(document)

    def name(row):
        peer = PEERS[row["peer"]].title
        return f"{titles[row['workload']]}, {row['dtype']}: {significant(row['ratio'])} times ({peer})"

    below = sorted((row for row in rows if row["is_below"]), key=lambda row: row["ratio"])
    where = f"On {describe_machine(document)}"
    if below:
        sentence = f"{where}: {len(below)} of {len(rows)} rows are less than {GOAL} times as fast as the best peer."
        return [sentence, *(f"  {name(row)}" for row in below)]
    least = min(rows, key=lambda row: row["ratio"])
    return [f"{where}: all {len(rows)} rows are at least {GOAL} times as fast as the best peer. Least: {name(least)}."]
