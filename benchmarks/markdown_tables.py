"""Print the results of `train.py --json` as tables in Markdown, those of docs/benchmarks.md.

python benchmarks/markdown_tables.py figures.json
"""

import argparse
import json

from parts import describe_parts
from peers import PEERS
from report import describe_limit, significant, titles_of
from standing import best_peers, describe_standing
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


def format_share(share):
    """Format a fraction as a percentage of at least two digits; empty for None.

    Parameters
    ----------
    share : float or None

    Returns
    -------
    str
    """
    if share is None:
        return ""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def format_results(document, dtype):
    """Tabulate the workloads in one type: fastbp's time, its shares of the peak and of the machine's limit, and each
    peer's ratio to it. A ratio of the best peer that is below `standing.GOAL` is bold.

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
    below = {(row["workload"], row["dtype"], row["peer"]) for row in best_peers(document["results"]) if row["is_below"]}
    others = [name for name in PEERS if name != "fastbp" and any(peer == name for _, peer in results)]
    lines = [
        f"| {dtype} | of | fastbp | of FMA peak | of limit | {' | '.join(PEERS[name].title for name in others)} |",
        f"|---|---|--:|--:|--:|{'--:|' * len(others)}",
    ]
    for workload in document["workloads"]:
        name = workload["name"]
        own = results.get((name, "fastbp"))
        if own is None or name.rpartition("-")[0] in series:
            continue
        shares = [format_share(own.get(key)) for key in ("share_of_peak", "share_of_limit")]
        cells = []
        for peer in others:
            ratio = results.get((name, peer), {}).get("times_slower_than_fastbp")
            mark = "**" if (name, dtype, peer) in below else ""
            cells.append(f"{mark}{significant(ratio)}×{mark}" if ratio else "")
        cells = [workload["title"], workload["unit"], format_time(own["ms_per_unit"]), *shares, *cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def explain_rows(document):
    """The parts of a step, for the rows where they were measured.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    list of str
        An item for each row.
    """
    titles = titles_of(document)
    return [
        f"- {titles[row['workload']]}, {row['dtype']}, {describe_limit(row)}: "
        f"{'; '.join(describe_parts(row['parts'], significant))}."
        for row in document["results"]
        if row.get("parts")
    ]


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
    standing = describe_standing(document)
    if standing:  # the rows themselves are marked in the tables
        parts.append(standing[0] + (" They are bold." if len(standing) > 1 else ""))
    if explained := explain_rows(document):
        parts.append("\n".join(explained))
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
