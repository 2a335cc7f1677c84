"""Print the results of `train.py --json` as tables in Markdown, those of docs/benchmarks.md.

python benchmarks/markdown_tables.py figures.json
"""

import argparse
import json

from peers import PEERS
from report import significant
from workloads import BOTH


def format_time(milliseconds):
    """Format a time in the unit that suits it.

    Parameters
    ----------
    milliseconds : float

    Returns
    -------
    str
    """
    if milliseconds >= 1000:
        return f"{significant(1e-3 * milliseconds)} s"
    return f"{significant(milliseconds)} ms" if milliseconds >= 0.1 else f"{significant(1e3 * milliseconds)} µs"


def format_results(document, dtype):
    """Tabulate the workloads in one type: fastbp's time, its share of the peak, and each peer's ratio to it.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.
    dtype : {"float32", "float64"}

    Returns
    -------
    str
        Empty when nothing was timed in this type.
    """
    results = {(row["workload"], row["peer"]): row for row in document["results"] if row["dtype"] == dtype}
    series = {row["series"] for row in document["series"]}
    others = [name for name in PEERS if name != "fastbp" and any(peer == name for _, peer in results)]
    lines = [
        f"| {dtype} | of | fastbp | of FMA peak | {' | '.join(PEERS[name].title for name in others)} |",
        f"|---|---|--:|--:|{'--:|' * len(others)}",
    ]
    for workload in document["workloads"]:
        name = workload["name"]
        own = results.get((name, "fastbp"))
        if own is None or name.rpartition("-")[0] in series:
            continue
        share = f"{100 * own['share_of_peak']:.0f} %" if own["share_of_peak"] else ""
        cells = []
        for peer in others:
            ratio = results.get((name, peer), {}).get("times_slower_than_fastbp")
            cells.append(f"{significant(ratio)}×" if ratio else "")
        cells = [workload["title"], workload["unit"], format_time(own["ms_per_unit"]), share, *cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def format_document(document):
    """Tabulate everything, and say where it was measured.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    str
    """
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [f"{machine['cpu']}, {machine['n_cores']} cores, {machine['isa']}; Python {machine['python']}, {versions}."]
    parts += [table for dtype in BOTH if (table := format_results(document, dtype))]
    sentences = [f"- {s['title']}, {s['dtype']}: {s['sentence']}." for s in document["series"] if s["peer"] == "fastbp"]
    return "\n\n".join([*parts, *(["\n".join(sentences)] if sentences else [])])


def main(arguments=None):
    """Read the figures and print the tables.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", metavar="JSON", help="what train.py --json wrote")
    with open(parser.parse_args(arguments).figures) as file:
        print(format_document(json.load(file)))


if __name__ == "__main__":
    main()
