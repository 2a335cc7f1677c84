"""Draw the results of `train.py --json`: how many times slower than fastbp each peer is, for each workload.

    python benchmarks/chart.py figures.json speed.svg

The suffix of the second name decides the format. Ratios are on a logarithmic axis; fastbp is the line at 1.
"""

import argparse
import json
import math

from matplotlib import rc_context, ticker
from matplotlib.figure import Figure

from peers import PEERS
from report import titles_of
from workloads import BOTH

# Colours that colour-blind people can tell apart (Okabe and Ito 2008), and shapes for print in black and white.
STYLES = {
    "sklearn": {"color": "#E69F00", "marker": "o"},
    "torch": {"color": "#D55E00", "marker": "s"},
    "jax": {"color": "#0072B2", "marker": "^"},
    "onnxruntime": {"color": "#009E73", "marker": "D"},
}
MARKERS = {"linestyle": "none", "markersize": 7.5, "markeredgecolor": "white", "markeredgewidth": 0.5, "zorder": 3}
LINE = {"color": "#000000", "linewidth": 1.2}
ROW_INCHES, MARGIN_INCHES, WIDTH_INCHES = 0.31, 1.5, 9.5
# Markers that are closer than CLOSE, in decades, are drawn one above the other, APART lines apart.
CLOSE, APART = 0.08, 0.3


def collect_ratios(document):
    """Find the ratios that can be drawn.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    dict of str to dict
        dtype -> peer -> title of the workload -> times slower than fastbp; dtypes without any are left out.
    """
    titles = titles_of(document)
    ratios = {}
    for row in document["results"]:
        if row["peer"] != "fastbp" and row["times_slower_than_fastbp"]:
            by_peer = ratios.setdefault(row["dtype"], {})
            by_peer.setdefault(row["peer"], {})[titles[row["workload"]]] = row["times_slower_than_fastbp"]
    return {dtype: ratios[dtype] for dtype in BOTH if dtype in ratios}


def spread(ratios):
    """Find offsets of the markers from the middle of their line, so that none hides another.

    Parameters
    ----------
    ratios : dict of str to float
        Peer -> ratio, on one line.

    Returns
    -------
    dict of str to float
        Peer -> offset, in lines.
    """
    groups = []
    for peer in sorted(ratios, key=ratios.get):
        if groups and math.log10(ratios[peer] / ratios[groups[-1][-1]]) < CLOSE:
            groups[-1].append(peer)
        else:
            groups.append([peer])
    return {peer: APART * (i - (len(group) - 1) / 2) for group in groups for i, peer in enumerate(group)}


def draw(document):
    """Draw the chart: a panel for each dtype, a line for each workload, a marker for each peer.

    Parameters
    ----------
    document : dict
        What `train.py --json` wrote.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is no workload with results of both fastbp and a peer.
    """
    ratios = collect_ratios(document)
    if not ratios:
        raise ValueError("the file compares fastbp with nobody: run train.py with at least one peer")
    drawn = {title for by_peer in ratios.values() for by_title in by_peer.values() for title in by_title}
    titles = [w["title"] for w in document["workloads"] if w["title"] in drawn]
    height = MARGIN_INCHES + ROW_INCHES * len(titles)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(1, len(ratios), sharey=True, sharex=True, squeeze=False)[0]
    handles = {}
    for axes, (dtype, by_peer) in zip(panels, ratios.items(), strict=True):
        offsets = {
            title: spread({peer: by_title[title] for peer, by_title in by_peer.items() if title in by_title})
            for title in titles
        }
        for peer, by_title in by_peer.items():
            places = [titles.index(title) + offsets[title][peer] for title in by_title]
            (handles[PEERS[peer].title],) = axes.plot(by_title.values(), places, **MARKERS, **STYLES[peer])
        handles["fastbp"] = axes.axvline(1, **LINE)
        axes.set(xscale="log", title=dtype, yticks=range(len(titles)), yticklabels=titles)
        axes.set_ylim(len(titles) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.grid(axis="x", color="#cccccc", linewidth=0.8)
        axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "left", "right"]].set_visible(False)
    order = ["fastbp", *(peer.title for peer in PEERS.values() if peer.name != "fastbp")]
    shown = [title for title in order if title in handles]
    machine = document["machine"]
    figure.supxlabel(
        f"times slower than fastbp, logarithmic\n{machine['cpu']}, {machine['n_cores']} cores, {machine['isa']}",
        fontsize="medium",
    )
    figure.legend([handles[title] for title in shown], shown, loc="outside upper center", ncols=5, frameon=False)
    return figure


def main(arguments=None):
    """Read the figures and write the chart.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", metavar="JSON", help="what train.py --json wrote")
    parser.add_argument("chart", metavar="OUT", help="where to write the chart: .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    with open(options.figures) as file:
        document = json.load(file)
    # The same results give the same file: it has no date, and the names of SVG elements do not change.
    metadata = {"Date": None} if options.chart.endswith(".svg") else None
    with rc_context({"svg.hashsalt": "fastbp"}):
        draw(document).savefig(options.chart, dpi=120, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    main()
