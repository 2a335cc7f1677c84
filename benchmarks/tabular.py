"""Compare defaults on tables: error, log-loss, calibration, seconds and memory of boosted trees and networks.

    python benchmarks/tabular.py --json FILE                                  the small tables of scikit-learn
    python benchmarks/tabular.py --json FILE --data FOLDER                    and those whose files are in a folder
    python benchmarks/tabular.py --json FILE --data FOLDER --table letter --size 10000 --split 0 --contender hgbt

Each contender of `table_contenders` is fitted with its defaults on some rows of each table of `table_data`, and scored
on other rows of it, for several random splits. Every fit has a process of its own. The results are added to the file
as they come, and what the file already has is not measured again: a study that was stopped goes on where it was.
`--again` repeats what failed.

`tabular_report.py` makes tables of the file, `tabular_charts.py` draws it.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from machine import cpu_model, measure_fma_peak, read_memory, remove_handicaps, usable_cores
from table_contenders import CONTENDERS
from table_data import BUNDLED, NAMES, load, split, training_rows
from table_scores import interval_coverage, score_numbers, score_probabilities

SIZES = (2_000, 10_000, 60_000)
N_SPLITS = 5
#: Variables from which libraries read the number of threads when they are loaded
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: What identifies a result
KEY = ("table", "n_train", "split", "contender")


def parse_arguments(arguments=None):
    """Read the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.

    Returns
    -------
    argparse.Namespace
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", required=True, help="where the results are, and are added")
    parser.add_argument("--data", metavar="FOLDER", help="where datasets.py and the files of the tables are")
    parser.add_argument("--table", action="append", choices=NAMES, help="a table; may be repeated")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="a contender; may be repeated")
    parser.add_argument("--size", action="append", type=int, help=f"training rows; by default {SIZES}")
    parser.add_argument("--split", action="append", type=int, help=f"a seed; by default 0 to {N_SPLITS - 1}")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="of each fit")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds after which a fit is stopped, as failed")
    parser.add_argument("--again", action="store_true", help="repeat what failed")
    parser.add_argument("--fit-one", metavar="CELL", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def reset_peak_memory():
    """Begin a new measurement of the peak memory of this process; Linux only.

    Returns
    -------
    int or None
        The memory in use, in bytes. None if the peak cannot be measured.
    """
    try:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return read_memory("VmRSS")


def predict_all_classes(model, X, classes, n_classes):
    """Probabilities of all classes of the table; those that were not trained have 0."""
    probabilities = np.zeros((len(X), n_classes))
    probabilities[:, classes] = model.predict_proba(X)
    return probabilities


def training_flops(model):
    """Operations of the products of weights in the training of a tabular estimator; all other work is not counted.

    Parameters
    ----------
    model : TabularMLPClassifier or TabularMLPRegressor
        Fitted. Members that it left out do not count.

    Returns
    -------
    int
    """
    return sum(member.network_.flops(int(member.t_)) for member in model.estimators_)  # t_ is the rows it was shown


def fit_one(cell, folder, n_threads):
    """Fit a contender on a split of a table, and score it.

    Parameters
    ----------
    cell : dict
        See ``KEY``.
    folder : str or None
        See `table_data.load`.
    n_threads : int

    Returns
    -------
    dict
        The scores; `interval_coverage`, of a regressor that predicts intervals; `fit_seconds`; `fit_flops`, of fastbp;
        `predict_seconds` and `n_test`, the test rows predicted in one call; `peak_bytes`, the peak of memory in fit and
        prediction above that before, None where it is unknown.
    """
    train, test = split(load(cell["table"], folder), cell["n_train"], cell["split"])
    is_classification = train.task == "classification"
    model = CONTENDERS[cell["contender"]].make(train, n_threads, cell["split"])
    # some contenders accept no gaps in the class numbers
    classes, y = np.unique(train.y, return_inverse=True) if is_classification else (None, train.y)
    before = reset_peak_memory()
    start = time.perf_counter()
    model.fit(train.X, y)
    fitted = time.perf_counter()
    if is_classification:
        predicted = predict_all_classes(model, test.X, classes, train.y.max() + 1)
    else:
        predicted = model.predict(test.X)
    predict_seconds = time.perf_counter() - fitted
    peak = None if before is None else read_memory("VmHWM") - before
    extra = {}
    if hasattr(model, "predict_interval"):
        extra["interval_coverage"] = interval_coverage(*model.predict_interval(test.X), test.y)
    if CONTENDERS[cell["contender"]].is_fastbp:
        extra["fit_flops"] = training_flops(model)
    return {
        **(score_probabilities if is_classification else score_numbers)(predicted, test.y),
        **extra,
        "fit_seconds": fitted - start,
        "predict_seconds": predict_seconds,
        "n_test": len(test.y),
        "peak_bytes": peak,
    }


def fit_in_process(cell, folder, n_threads, timeout):
    """Call `fit_one` in a process of its own.

    Parameters
    ----------
    cell, folder, n_threads
        See `fit_one`.
    timeout : float
        Seconds after which it is stopped.

    Returns
    -------
    dict
        What `fit_one` returned, or `failure`, a message.
    """
    command = [sys.executable, __file__, "--json", "-", "--fit-one", json.dumps(cell), "--threads", str(n_threads)]
    command += ["--data", folder] if folder else []
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(n_threads)), "PYTHONWARNINGS": "ignore"}
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return {"failure": f"stopped after {timeout:g} seconds"}
    lines = process.stdout.splitlines()
    if process.returncode == 0 and lines:
        return json.loads(lines[-1])
    messages = process.stderr.strip().splitlines()
    return {"failure": messages[-1] if messages else f"ended with code {process.returncode}"}


def plan_cells(names, sizes, splits, contenders, count_rows):
    """List what is to be measured.

    Parameters
    ----------
    names, sizes, splits, contenders : sequence
        Tables, training rows aimed at, seeds, keys of ``CONTENDERS``.
    count_rows : callable
        ``count_rows(name)`` gives the rows of a table.

    Returns
    -------
    list of dict
        See ``KEY``; sizes that are the same for a table, because it is small, are listed once.
    """
    cells = []
    for name in names:
        rows = dict.fromkeys(training_rows(count_rows(name), size) for size in sizes)
        for seed in splits:
            cells += [dict(zip(KEY, (name, n, seed, c), strict=True)) for n in rows for c in contenders]
    return sorted(cells, key=lambda cell: cell["split"])  # one split of everything comes first


def read_results(path):
    """The document in the file; an empty one if there is no file."""
    path = Path(path)
    return json.loads(path.read_text()) if path.exists() else {"sizes": [], "tables": {}, "results": []}


def write_results(path, document):
    """Write the document. A process that is stopped meanwhile leaves the old file."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    part.replace(path)


def describe(result):
    """A line on a result."""
    cell = f"{result['table']:16}{result['n_train']:>7}{result['split']:>3}  {result['contender']:12}"
    if "failure" in result:
        return cell + "failed: " + result["failure"]
    log_loss = f" log-loss {result['log_loss']:.4f}" if "log_loss" in result else ""
    return cell + f"error {result['error']:<10.5g}{log_loss}  fit {result['fit_seconds']:.2f} s"


def measure_peak(n_threads):
    """The FMA peak in FLOP/s, which tells how busy the machine is with other work; None without fastbp."""
    try:
        return measure_fma_peak("float32", n_threads, seconds=0.05)
    except ImportError:
        return None


def run(options):
    """Measure what the file lacks.

    Parameters
    ----------
    options : argparse.Namespace
        See `parse_arguments`.
    """
    document = read_results(options.json)
    names, sizes = options.table or (NAMES if options.data else tuple(BUNDLED)), options.size or SIZES
    document["sizes"] = sorted({*document["sizes"], *sizes})
    contenders = [name for name in options.contender or CONTENDERS if CONTENDERS[name].is_installed]
    for name in names:
        if name not in document["tables"]:
            table = load(name, options.data)
            document["tables"][name] = {"task": table.task, "n_rows": len(table.y), "n_columns": table.X.shape[1]}
    document["machine"] = {"cpu": cpu_model(), "n_cores": usable_cores()}
    results = {tuple(result[field] for field in KEY): result for result in document["results"]}
    splits = range(N_SPLITS) if options.split is None else options.split
    cells = plan_cells(names, sizes, splits, contenders, lambda name: document["tables"][name]["n_rows"])
    for cell in cells:
        key = tuple(cell.values())
        if key in results and not (options.again and "failure" in results[key]):
            continue
        facts = {"n_threads": options.threads, "fma_peak_flops": measure_peak(options.threads)}
        results[key] = cell | facts | fit_in_process(cell, options.data, options.threads, options.timeout)
        write_results(options.json, document | {"results": list(results.values())})
        print(describe(results[key]), flush=True)


def main(arguments=None):
    """Run the study, or one fit of it."""
    options = parse_arguments(arguments)
    if options.fit_one:
        warnings.simplefilter("ignore")  # a fit of a fixed number of epochs warns that it did not converge
        print(json.dumps(fit_one(json.loads(options.fit_one), options.data, options.threads)))
    else:
        remove_handicaps()
        run(options)


if __name__ == "__main__":
    main()
