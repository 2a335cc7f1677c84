"""The tables of docs/scaling.md and its chart, from what `scaling.py` has measured.

    python benchmarks/scaling_report.py scaling.json --docs docs/scaling.md --chart scaling.svg

With `--docs`, the tables replace those between the marks ``<!-- name -->`` and ``<!-- end -->`` of the file; without,
they are printed.
"""

import argparse
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

from matplotlib import rc_context, ticker
from matplotlib.figure import Figure

from cost_model import (
    CONSTANTS,
    ROUNDS,
    Cluster,
    all_reduce_seconds,
    bytes_on_the_busiest_line,
    efficiency,
    parts_of_round,
    round_seconds,
    simulate,
    steps_for,
)
from latency import show
from tabular_report import format_table

#: Of the time that workers take for the steps of a round
SPREAD = 0.05
BATCH_SIZE = 200
SIZES, STEPS = (64, 1024), (10, 100, 1000)
# Colours that colour-blind people can tell apart (Okabe and Ito 2008)
STYLES = {10: {"color": "#D55E00", "marker": "s"}, 100: {"color": "#0072B2", "marker": "o"}}
STYLES[1000] = {"color": "#009E73", "marker": "^"}


@cache
def simulated(cluster):
    """Seconds of a round by the simulation; of few workers, the mean of more rounds."""
    return simulate(cluster, max(4, 4000 // cluster.n_workers))


def cluster_of(document, net, n_workers, sync_every):
    """A cluster of hosts with a core each, on lines of 10 Gbit/s, with the constants that were measured.

    Parameters
    ----------
    document : dict
        What `scaling.py` wrote.
    net : str
    n_workers, sync_every : int

    Returns
    -------
    Cluster
    """
    constants = document["constants"]
    known = {name: constants[name] for name in CONSTANTS}
    step = constants["step_seconds"]["1"][net]
    return Cluster(n_workers, step, document["nets"][net], sync_every, spread=SPREAD, **known)


def number(value):
    """Three digits that matter."""
    return f"{float(f'{value:.3g}'):,.10g}"


def constants_table(document):
    """The constants of the model."""
    constants = document["constants"]
    step = constants["step_seconds"]["1"]
    rows = [
        ["step of 200 rows, small net, ms", number(1e3 * step["small"])],
        ["step of 200 rows, large net, ms", number(1e3 * step["large"])],
        ["a round, whatever its tasks, ms", number(1e3 * constants["round_seconds"])],
        ["a task, scheduler and client, ms", number(1e3 * constants["task_seconds"])],
        ["a task, worker, ms", number(1e3 * constants["worker_seconds"])],
        ["a copy, GB/s", number(1e-9 / constants["copy_seconds"])],
    ]
    return format_table(["constant", "measured"], rows)


def comparison_table(document):
    """Rows per second, measured and predicted."""
    rows = []
    for row in document["comparison"]:
        measured, predicted = row["rows_per_second"], row["predicted_rows_per_second"]
        name = f"{row['net']}, {document['nets'][row['net']]:,} parameters"
        # a single worker averages nothing: its epoch is a round
        steps = str(row["sync_every"] * (ROUNDS if row["n_workers"] == 1 else 1))
        difference = f"{round(100 * (predicted / measured - 1)):+d} %"
        rows.append([name, steps, str(row["n_workers"]), number(measured), number(predicted), difference])
    rows.sort(key=lambda row: row[0].startswith("medium"))
    return format_table(["net", "steps of a round", "workers", "rows/s", "predicted", "difference"], rows)


def prediction_table(document):
    """What the simulation says for many workers."""
    rows = []
    for net in ("small", "large"):
        for n_workers in SIZES:
            for steps in STEPS:
                cluster = cluster_of(document, net, n_workers, steps)
                seconds = simulated(cluster)
                parts = parts_of_round(cluster)
                del parts["steps"]
                rows.append(
                    [
                        net,
                        f"{n_workers:,}",
                        f"{steps:,}",
                        number(n_workers * steps * BATCH_SIZE / seconds / 1e6),
                        number(1e3 * seconds),
                        f"{100 * efficiency(cluster, seconds):.0f}",
                        max(parts, key=parts.get),
                        number(1e3 * all_reduce_seconds(cluster)),
                    ]
                )
    head = ["net", "workers", "steps of a round", "million rows/s", "ms of a round", "efficiency, %"]
    return format_table([*head, "largest cost", "ring all-reduce, ms"], rows)


def states_table(document):
    """The bytes of a state, and those of a round on the busiest line."""
    rows = []
    for net in ("small", "large"):
        clusters = [cluster_of(document, net, n_workers, 1) for n_workers in SIZES]
        sizes = [clusters[0].state_bytes, *map(bytes_on_the_busiest_line, clusters)]
        rows.append([net, f"{document['nets'][net]:,}", *(number(1e-6 * size) for size in sizes)])
    head = ["net", "parameters P", "a state M, MB", *(f"busiest line, {n:,} workers, MB" for n in SIZES)]
    return format_table(head, rows)


def parts_table(document):
    """The parts of a round by the formula, beside the simulation."""
    rows = []
    for net in ("small", "large"):
        for n_workers in SIZES:
            cluster = cluster_of(document, net, n_workers, 100)
            parts = [number(1e3 * seconds) for seconds in parts_of_round(cluster).values()]
            totals = [number(1e3 * seconds) for seconds in (round_seconds(cluster), simulated(cluster))]
            rows.append([net, f"{n_workers:,}", *parts, *totals])
    names = parts_of_round(cluster_of(document, "small", 2, 1))
    return format_table(["ms", "workers", *names, "together", "simulated"], rows)


def needed_table(document):
    """The steps of a round that an efficiency needs, and the rows that a round then takes."""
    rows = []
    for net in ("small", "large"):
        for n_workers in SIZES:
            # no number of steps makes up for stragglers
            cluster = replace(cluster_of(document, net, n_workers, 1), spread=0.0)
            for share in (0.5, 0.9):
                steps = steps_for(cluster, share)
                millions = number(n_workers * steps * BATCH_SIZE / 1e6)
                rows.append([net, f"{n_workers:,}", f"{100 * share:.0f}", f"{steps:,}", millions])
    return format_table(["net", "workers", "efficiency, %", "steps of a round", "million rows of a round"], rows)


def latency_table(document):
    """The results of `latency.py`, beside the formula for two workers with the latency that was measured."""
    results = document["latency"]
    predicted = []
    for row in results:
        cluster = cluster_of(document, "small", 2, row["sync_every"])
        trip = 1e-3 * row["measured_round_trip_ms"]
        # no limit to the rate of the lines, and steps as they were timed beside these rounds
        here = {"round_trip": trip, "bytes_per_second": 1e12, "step_seconds": row["seconds_per_step"], "spread": 0.0}
        predicted.append(round_seconds(replace(cluster, **here)))
    return show(results, predicted)


TABLES = {
    "constants": constants_table,
    "comparison": comparison_table,
    "prediction": prediction_table,
    "states": states_table,
    "parts": parts_table,
    "needed": needed_table,
    "latency": latency_table,
}


def with_tables(text, document):
    """The text of the page with the tables of the document between its marks.

    Raises
    ------
    ValueError
        If the marks of a table are not there.
    """
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the page has no marks <!-- {name} --> and <!-- end -->")
        content = table(document)
        text = pattern.sub(lambda match, content=content: f"{match[1]}\n{content}\n\n{match[2]}", text)
    return text


def draw(document):
    """The chart of the efficiency against the workers: the formula as lines, the simulation as markers.

    Parameters
    ----------
    document : dict

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    workers = [2**k for k in range(1, 11)]
    for axes, net in zip(panels, ("small", "large"), strict=True):
        for steps, style in STYLES.items():
            clusters = [cluster_of(document, net, n, steps) for n in workers]
            by_formula = [100 * efficiency(c, round_seconds(c)) for c in clusters]
            axes.plot(workers, by_formula, color=style["color"], linewidth=1.2)
            by_simulation = [100 * efficiency(c, simulated(c)) for c in clusters]
            label = f"{steps:,} steps of a round"
            axes.plot(
                workers, by_simulation, linestyle="none", markeredgecolor="white", clip_on=False, label=label, **style
            )
        axes.set(xscale="log", ylim=(0, 105), xlabel="workers, of one core each")
        axes.set_title(f"{net} net, {document['nets'][net]:,} parameters", fontsize="medium")
        axes.set_xticks([2, 8, 32, 128, 1024])
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda n, _: f"{n:,.0f}"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.grid(color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("efficiency, %")
    handles, labels = panels[0].get_legend_handles_labels()
    title = "markers: simulation; lines: formula"
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, title=title)
    return figure


def main(arguments=None):
    """Write the tables and the chart.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", metavar="JSON", help="what scaling.py wrote")
    parser.add_argument("--docs", metavar="FILE", help="the page whose tables are replaced")
    parser.add_argument("--chart", metavar="OUT", help="where to write the chart: .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    document = json.loads(Path(options.figures).read_text())
    if options.docs:
        page = Path(options.docs)
        page.write_text(with_tables(page.read_text("utf-8"), document), "utf-8")
    else:
        for name, table in TABLES.items():
            print(f"{name}\n\n{table(document)}\n")
    if options.chart:
        # The same results give the same file: it has no date, and the names of SVG elements do not change.
        metadata = {"Date": None} if options.chart.endswith(".svg") else None
        with rc_context({"svg.hashsalt": "fastbp"}):
            draw(document).savefig(options.chart, dpi=120, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    main()
