"""Print the results of `tabular.py` as tables, in Markdown.

    python benchmarks/tabular_report.py figures.json

For each number of training rows: the error of each contender on each table (root mean squared error in regression),
the mean over the splits that it finished; geometric means over the tables of its ratios to HistGradientBoosting; how
often its mean is smaller than those of HistGradientBoosting and of CatBoost; its average rank; seconds and memory.
A ratio takes the splits that both have. The small tables of scikit-learn are not in the means. The share of the peak of
fused multiply-adds counts the products of the models that the ensemble kept, and all seconds of the fit.
"""

import argparse
import json
import statistics

from table_contenders import CONTENDERS
from table_data import BUNDLED, training_rows
from table_scores import average_ranks, count_wins, geometric_mean, ratios_to

REFERENCE = "hgbt"
RIVALS = ("hgbt", "catboost")
#: Tables on which the reference fails are not in the mean of the classification
LEFT_OUT = ("shuttle",)
#: Columns of the summary: title -> task of the tables, None for all
GROUPS = {"classification": "classification", "regression": "regression", "all": None}


def select_results(document, size):
    """The finished results that belong to a number of training rows.

    Parameters
    ----------
    document : dict
        What `tabular.py` wrote.
    size : int
        Training rows aimed at. A smaller table belongs with what it has.

    Returns
    -------
    list of dict
    """
    expected = {name: training_rows(table["n_rows"], size) for name, table in document["tables"].items()}
    return [r for r in document["results"] if "failure" not in r and r["n_train"] == expected[r["table"]]]


def collect(results, measure):
    """Arrange a measure by contender, table and split.

    Parameters
    ----------
    results : list of dict
    measure : str
        A field of the results; those without it, or with None, are left out.

    Returns
    -------
    dict of str to dict of str to dict of int to float
        In the order of ``CONTENDERS``.
    """
    found = {}
    for name in CONTENDERS:
        for result in results:
            if result["contender"] == name and result.get(measure) is not None:
                found.setdefault(name, {}).setdefault(result["table"], {})[result["split"]] = result[measure]
    return found


def mean_over_splits(by_table, shared_with=None):
    """Means over the splits of each table.

    Parameters
    ----------
    by_table : dict of str to dict of int to float
    shared_with : dict of str to dict of int to float, optional
        Only splits that this one has, too.

    Returns
    -------
    dict of str to float
    """
    means = {}
    for table, by_split in by_table.items():
        splits = by_split if shared_with is None else by_split.keys() & shared_with.get(table, {}).keys()
        if splits:
            means[table] = statistics.fmean(by_split[seed] for seed in splits)
    return means


def compare(by_contender, reference):
    """Ratios of the means over the splits that both have, and wins.

    Parameters
    ----------
    by_contender : dict
        Of one measure; see `collect`.
    reference : str
        A contender.

    Returns
    -------
    dict of str to (dict of str to float, (int, int))
        Contender -> ratios by table, and wins of so many tables.
    """
    other = by_contender.get(reference, {})
    compared = {}
    for name, by_table in by_contender.items():
        own, theirs = mean_over_splits(by_table, other), mean_over_splits(other, by_table)
        compared[name] = ratios_to(theirs, own), count_wins(theirs, own)
    return compared


def without_bundled(by_contender):
    """Leave out the small tables of scikit-learn."""
    return {
        name: {table: splits for table, splits in by_table.items() if table not in BUNDLED}
        for name, by_table in by_contender.items()
    }


def in_group(table, task, tables):
    """Whether a table is in a group of the summary; the `LEFT_OUT` are only in the group of all."""
    return task is None or (tables[table]["task"] == task and table not in LEFT_OUT)


def format_table(head, rows):
    """Lay out a table in Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_measure(by_contender, digits):
    """A line for each table, a column for each contender: the mean over its splits."""
    tables = list(dict.fromkeys(table for by_table in by_contender.values() for table in by_table))
    rows = []
    for table in tables:
        means = [mean_over_splits(by_table).get(table) for by_table in by_contender.values()]
        rows.append([table, *("" if mean is None else f"{mean:.{digits}g}" for mean in means)])
    return format_table(["", *(CONTENDERS[name].title for name in by_contender)], rows)


def missing_tables(n_tables, n_all):
    """What stands behind a mean over fewer tables than there are."""
    return f" ({n_tables} tables)" if 0 < n_tables < n_all else ""


def format_group(ratios, task, tables):
    """The geometric mean over a group, with the number of tables if some are missing."""
    group = [table for table in tables if table not in BUNDLED and in_group(table, task, tables)]
    values = [ratios[table] for table in group if table in ratios]
    if not values:
        return ""
    return f"{geometric_mean(values):.3f}" + missing_tables(len(values), len(group))


def summarize(document, size):
    """A line for each contender: ratios to the reference, wins, rank.

    Parameters
    ----------
    document : dict
        What `tabular.py` wrote.
    size : int

    Returns
    -------
    str
        Markdown.
    """
    tables, results = document["tables"], select_results(document, size)
    errors = without_bundled(collect(results, "error"))
    losses = without_bundled(collect(results, "log_loss"))
    ratios, loss_ratios = compare(errors, REFERENCE), compare(losses, REFERENCE)
    against = {rival: compare(errors, rival) for rival in RIVALS}
    means = {name: mean_over_splits(by_table) for name, by_table in errors.items()}
    most = max(map(len, means.values()), default=0)
    ranks, n_ranked = average_ranks({name: found for name, found in means.items() if len(found) == most})
    head = ["", *(f"error, {title}" for title in GROUPS), "log-loss", "log-loss wins"]
    head += [*(f"wins against {CONTENDERS[rival].title}" for rival in RIVALS), f"rank ({n_ranked} tables)"]
    rows = []
    for name in errors:
        row = [CONTENDERS[name].title, *(format_group(ratios[name][0], task, tables) for task in GROUPS.values())]
        loss, wins = loss_ratios.get(name, ({}, (0, 0)))
        row += [format_group(loss, "classification", tables), "{} of {}".format(*wins)]
        row += ["" if rival == name else "{} of {}".format(*against[rival][name][1]) for rival in RIVALS]
        rows.append([*row, f"{ranks[name]:.2f}" if name in ranks else ""])
    return format_table(head, rows)


def format_costs(results):
    """A line for each contender: geometric means of seconds, rows a second, memory, and of the share of the FMA peak
    that the products of the training have. A mean over fewer tables than others have says so."""
    for result in results:
        result["rows_per_second"] = result["n_test"] / result["predict_seconds"]
        result["peak_megabytes"] = result["peak_bytes"] and max(result["peak_bytes"] / 2**20, 1)
        if result.get("fit_flops") and result["fma_peak_flops"]:
            possible = result["fma_peak_flops"] * result["fit_seconds"]
            result["percent_of_fma_peak"] = 100 * result["fit_flops"] / possible
    titles = {
        "fit_seconds": "fit, s",
        "rows_per_second": "predicted rows/s",
        "peak_megabytes": "peak memory, MB",
        "percent_of_fma_peak": "% of the FMA peak in fit",
    }
    by_measure = {measure: without_bundled(collect(results, measure)) for measure in titles}
    most = max(map(len, by_measure["fit_seconds"].values()), default=0)
    rows = []
    for name in by_measure["fit_seconds"]:
        cells = []
        for by_contender in by_measure.values():
            means = mean_over_splits(by_contender.get(name, {})).values()
            mean = geometric_mean(means)
            text = "" if mean != mean else f"{mean:.3g}" if mean < 1000 else f"{mean:,.0f}"
            cells.append(text + missing_tables(len(means), most))
        rows.append([CONTENDERS[name].title, *cells])
    return format_table(["", *titles.values()], rows)


def format_size(document, size):
    """All tables for a number of training rows."""
    results = select_results(document, size)
    errors = collect(results, "error")
    ratios = {
        name: {table: {0: r} for table, r in found.items()} for name, (found, _) in compare(errors, REFERENCE).items()
    }
    return "\n\n".join(
        [
            f"### {size:,} training rows",
            summarize(document, size),
            "Geometric means over the tables:",
            format_costs(results),
            "Error or root mean squared error:",
            format_measure(errors, 4),
            f"Divided by that of {CONTENDERS[REFERENCE].title}:",
            format_measure(ratios, 3),
            "Log-loss:",
            format_measure(collect(results, "log_loss"), 3),
            "Expected calibration error:",
            format_measure(collect(results, "calibration_error"), 3),
            "Share of the targets within the intervals that should contain 90 % of them:",
            format_measure(collect(results, "interval_coverage"), 3),
        ]
    )


def main(arguments=None):
    """Read the figures and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", metavar="JSON", help="what tabular.py wrote")
    options = parser.parse_args(arguments)
    with open(options.figures) as file:
        document = json.load(file)
    parts = [format_size(document, size) for size in document["sizes"]]
    for result in document["results"]:
        if "failure" in result:
            fit = f"{CONTENDERS[result['contender']].title} on {result['n_train']} rows of {result['table']}"
            parts.append(f"{fit}, split {result['split']}, failed: {result['failure']}")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
