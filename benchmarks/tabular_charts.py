"""Draw the results of `tabular.py`: the average ranks, and the error against the seconds of a fit.

    python benchmarks/tabular_charts.py figures.json --ranks ranks.svg --seconds seconds.svg --size 10000

The first one is the diagram of Demšar (2006): contenders by their average rank over the tables, and bars over those
whose ranks differ by less than the critical difference of the Nemenyi test. The second one shows geometric means over
the tables that all contenders have on two logarithmic axes: left and below is better. Tables on which the reference
fails are not in it.
"""

import argparse
import json

from matplotlib import rc_context, ticker
from matplotlib.figure import Figure

from table_contenders import CONTENDERS
from table_scores import average_ranks, critical_difference, geometric_mean, groups_within
from tabular_report import LEFT_OUT, REFERENCE, collect, compare, mean_over_splits, select_results, without_bundled

# Colours that colour-blind people can tell apart (Okabe and Ito 2008); one colour for all of fastbp.
OWN_COLOUR = "#000000"
STYLES = {
    "hgbt": {"color": "#E69F00", "marker": "s"},
    "catboost": {"color": "#D55E00", "marker": "^"},
    "lightgbm": {"color": "#009E73", "marker": "v"},
    "xgboost": {"color": "#CC79A7", "marker": "D"},
    "sklearn-mlp": {"color": "#56B4E9", "marker": "P"},
    "realmlp": {"color": "#0072B2", "marker": "X"},
}
MARKERS = {"linestyle": "none", "markersize": 9, "markeredgecolor": "white"}
LINE_INCHES = 0.3


def complete_means(document, size):
    """Mean errors of the contenders that have results on the most tables.

    Parameters
    ----------
    document : dict
        What `tabular.py` wrote.
    size : int
        Training rows aimed at.

    Returns
    -------
    dict of str to dict of str to float
        Contender -> table -> mean over the splits.
    """
    errors = without_bundled(collect(select_results(document, size), "error"))
    means = {name: mean_over_splits(by_table) for name, by_table in errors.items()}
    most = max(map(len, means.values()), default=0)
    return {name: found for name, found in means.items() if len(found) == most}


def draw_ranks(document, size):
    """The critical-difference diagram.

    Parameters
    ----------
    document : dict
    size : int

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        With fewer than two contenders on the same tables.
    """
    ranks, n_tables = average_ranks(complete_means(document, size))
    if len(ranks) < 2:
        raise ValueError(f"there are no two contenders with {size} training rows on the same tables")
    difference = critical_difference(len(ranks), n_tables)
    groups = groups_within(ranks, difference)
    order = sorted(ranks, key=ranks.get)
    half = (len(order) + 1) // 2
    depth = 1.2 + 0.35 * len(groups)
    figure = Figure(figsize=(8, LINE_INCHES * (half + depth + 3)), layout="constrained")
    axes = figure.subplots()
    # best ranks at the left, their names to the left; the others to the right
    left, right = 1 - 0.05 * len(order), len(order) * 1.05
    for place, name in enumerate(order):
        on_left = place < half
        level = depth + (place if on_left else len(order) - 1 - place)
        end = left if on_left else right
        axes.plot([ranks[name], ranks[name], end], [0, level, level], color="#555555", linewidth=1)
        title = (
            f"{CONTENDERS[name].title}  {ranks[name]:.2f}"
            if on_left
            else f"{ranks[name]:.2f}  {CONTENDERS[name].title}"
        )
        axes.annotate(
            title,
            (end, level),
            (-5 if on_left else 5, 0),
            textcoords="offset points",
            va="center",
            ha="right" if on_left else "left",
            weight="bold" if CONTENDERS[name].is_fastbp else None,
        )
    for place, group in enumerate(groups):
        level = 0.6 + 0.35 * place
        axes.plot([ranks[group[0]] - 0.03, ranks[group[-1]] + 0.03], [level, level], color="#000000", linewidth=3.5)
    axes.plot([1, 1 + difference], [-1.6, -1.6], color="#000000", linewidth=1.5, marker="|", markersize=8)
    axes.annotate(f"critical difference {difference:.2f}", (1, -2.2), va="bottom")
    axes.set(xlim=(left - 0.02, right + 0.02), ylim=(half + depth, -2.6), yticks=[])
    axes.xaxis.set_ticks_position("top")
    axes.spines["top"].set_position(("data", 0))
    axes.spines["top"].set_bounds(1, len(order))
    axes.set_xticks(range(1, len(order) + 1))
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    axes.set_xlabel(f"average rank over {n_tables} tables, {size:,} training rows")
    return figure


def draw_seconds(document, size):
    """The chart of the error, as a ratio to the reference, against the seconds of a fit.

    Parameters
    ----------
    document : dict
    size : int

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If no table has results of all contenders.
    """
    results = select_results(document, size)
    compared = compare(without_bundled(collect(results, "error")), REFERENCE)
    ratios = {name: by_table for name, (by_table, _) in compared.items()}
    seconds = without_bundled(collect(results, "fit_seconds"))
    candidates = [table for table in ratios.get(REFERENCE, ()) if table not in LEFT_OUT]
    tables = [table for table in candidates if all(table in found for found in ratios.values())]
    if not tables:
        raise ValueError(f"there is no table with {size} training rows that all contenders have")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    own = []
    for name, found in ratios.items():
        by_table = mean_over_splits(seconds[name])
        place = tuple(geometric_mean(values[table] for table in tables) for values in (by_table, found))
        if CONTENDERS[name].is_fastbp:
            own.append(place)
            axes.annotate(name, place, (0, -9), textcoords="offset points", ha="center", va="top")
        else:
            axes.plot(*place, label=CONTENDERS[name].title, **MARKERS, **STYLES[name])
    if own:
        axes.plot(*zip(*own, strict=True), label="fastbp", color=OWN_COLOUR, linewidth=1, marker="o", markersize=9)
    figure.legend(loc="outside right upper", frameon=False)
    axes.set(xscale="log", yscale="log", xlabel="seconds of a fit", xmargin=0.25, ymargin=0.15)
    axes.set_ylabel(f"error divided by that of {CONTENDERS[REFERENCE].title}")
    axes.set_title(f"{size:,} training rows, geometric means over {len(tables)} tables", fontsize="medium")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(which="both", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(arguments=None):
    """Read the figures and write the charts.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", metavar="JSON", help="what tabular.py wrote")
    parser.add_argument("--ranks", metavar="OUT", help="where to write the diagram of the ranks: .svg, .png or .pdf")
    parser.add_argument("--seconds", metavar="OUT", help="where to write the chart of the seconds")
    parser.add_argument("--size", type=int, default=10_000, help="training rows")
    options = parser.parse_args(arguments)
    with open(options.figures) as file:
        document = json.load(file)
    for draw, path in ((draw_ranks, options.ranks), (draw_seconds, options.seconds)):
        if path:
            # The same results give the same file: it has no date, and the names of SVG elements do not change.
            metadata = {"Date": None} if path.endswith(".svg") else None
            with rc_context({"svg.hashsalt": "fastbp"}):
                draw(document, options.size).savefig(path, dpi=120, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    main()
