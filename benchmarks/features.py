"""Measure what each option of training costs, and compare the step with PyTorch's.

    python benchmarks/features.py                                       all options on both networks
    python benchmarks/features.py --only dropout --only ema --json FILE
    python benchmarks/features.py --peers none                          without PyTorch

For each option of `options.OPTIONS` three contenders take turns: fastbp without the option, fastbp with it, and PyTorch
with it (`peers.torch_options`). Printed are the time of a step, what the option adds to the step without it, and how
many times slower PyTorch's step is. The last line is for `fastbp.fit_many`: several networks at once, one thread each,
against one after the other, with all threads each, and with one thread each. The second ratio is at most the number of
cores; the first one is this divided by what all threads gain in one fit.

The cost of dropout, normalization, averaging and clipping should be at most 25 % of a step of the large network, and
40 % of one of the small network. That is marked in the table.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

from contender import Contender
from data import make_data
from machine import machine_facts, measure_fma_peak, remove_handicaps, usable_cores
from measure import FULL, QUICK, alternate, best_of_each_peer, calibrate_all, close_contenders, open_contenders
from options import OPTIONS
from peers import PEERS
from report import format_header, format_heading, significant
from workloads import WORKLOADS

#: network -> the largest cost of the limited options, a share of a step
LIMITS = {"784-512-256-10": 0.25, "20-64-64-1": 0.40}
#: The smallest ratio of PyTorch's step to that of fastbp, both with the option
LEAST_LEAD = 1.2
N_MODELS = 8


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
    parser.add_argument("--only", action="append", choices=(*OPTIONS, "fit_many"), help="an option; may be repeated")
    parser.add_argument("--net", action="append", choices=LIMITS, help="a network; may be repeated")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--peers", choices=("torch", "none"), default="torch")
    parser.add_argument("--quick", action="store_true", help="shortened workloads, few repeats: a first look")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    return parser.parse_args(arguments)


def measure_option(workload, name, dtype, peers, n_cores, plan):
    """Time a step without the option and with it, and PyTorch's with it.

    Parameters
    ----------
    workload : workloads.Workload
        Without the option.
    name : str
        Of the option.
    dtype : {"float32", "float64"}
    peers : list of peers.Peer
        Others than fastbp.
    n_cores : int
    plan : measure.Plan

    Returns
    -------
    dict
        `option`, `network`, `dtype`, `plain_us` and `us` per step, `cost` as a share of the plain step, `samples_us` of
        each contender, and for a peer that finished ``{peer}_us`` and ``{peer}_ratio``.
    """
    chosen = workload.with_option(name)
    peers = peers if OPTIONS[name].in_torch else []
    contenders = [
        Contender(PEERS["fastbp"], workload, dtype, None),
        *open_contenders([PEERS["fastbp"], *peers], chosen, dtype, n_cores, plan),
    ]
    try:
        timings, failures = calibrate_all(contenders, workload.kind, plan)
        failures.update(alternate(timings))
    finally:
        close_contenders(contenders)
    finished = best_of_each_peer([t for t in timings if t.contender.key not in failures])
    steps = workload.steps_per_epoch
    us = {t.contender.key: 1e6 * t.seconds_per_unit / steps for t in finished}
    row = {"option": name, "network": workload.name, "dtype": dtype, "failures": failures}
    row["samples_us"] = {t.contender.key: [1e6 * sample / steps for sample in t.samples] for t in finished}
    if {"fastbp", f"fastbp+{name}"} <= us.keys():
        row |= {"plain_us": us["fastbp"], "us": us[f"fastbp+{name}"]}
        row["cost"] = row["us"] / row["plain_us"] - 1
        for peer in peers:
            if f"{peer.name}+{name}" in us:
                row[f"{peer.name}_us"] = us[f"{peer.name}+{name}"]
                row[f"{peer.name}_ratio"] = row[f"{peer.name}_us"] / row["us"]
    return row


def format_row(row):
    """One line of the table, with a word on what misses its limit."""
    if "cost" not in row:
        return f"  {row['option']:16}failed: {'; '.join(row['failures'].values())}"
    notes = []
    if OPTIONS[row["option"]].limited and row["cost"] > LIMITS[row["network"]]:
        notes.append(f"costs more than {100 * LIMITS[row['network']]:.0f} %")
    if row.get("torch_ratio", LEAST_LEAD) < LEAST_LEAD:
        notes.append(f"less than {LEAST_LEAD} times ahead")
    notes += [f"{key} failed: {message}" for key, message in row["failures"].items()]
    plain, step, other, ratio = map(
        significant, (row["plain_us"], row["us"], row.get("torch_us"), row.get("torch_ratio"))
    )
    cells = f"{plain:>10}{step:>10}{100 * row['cost']:>+9.1f} %{other:>12}{ratio:>10}"
    return f"  {row['option']:16}{cells}   {'; '.join(notes)}".rstrip()


def measure_fit_many(workload, dtype, n_epochs, repeats):
    """Time several fits at once, and one after the other, in turns.

    Parameters
    ----------
    workload : workloads.Workload
    dtype : {"float32", "float64"}
    n_epochs, repeats : int

    Returns
    -------
    dict
        The seconds of each repeat, and `ratio` and `ratio_to_one_thread`, those of the medians.
    """
    from sklearn.base import clone

    from fastbp import fit_many
    from peers.estimators import make_estimator

    X, y = make_data(workload, dtype)
    parameters = {"batch_size": workload.batch_size, "max_iter": n_epochs, "n_iter_no_change": n_epochs}
    models = [make_estimator("fastbp", workload, **parameters) for _ in range(N_MODELS)]
    for seed, model in enumerate(models):
        model.random_state = seed

    def one_by_one(models, n_threads=None):
        for model in models:
            model.set_params(n_threads=n_threads).fit(X, y)

    ways = {
        "one_by_one": one_by_one,
        "one_thread": lambda models: one_by_one(models, 1),
        "fit_many": lambda models: fit_many(models, X, y),
    }
    seconds = {name: [] for name in ways}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit of a fixed number of epochs warns that it did not converge
        for repeat in range(repeats + 1):  # the first is not counted
            for name, way in ways.items():
                fresh = clone(models, safe=False)
                begin = time.perf_counter()
                way(fresh)
                if repeat:
                    seconds[name].append(time.perf_counter() - begin)
    both, one, many = (statistics.median(seconds[name]) for name in ways)
    row = {"option": "fit_many", "network": workload.name, "dtype": dtype, "seconds": seconds}
    return row | {"ratio": both / many, "ratio_to_one_thread": one / many}


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    options = parse_arguments(arguments)
    plan, n_cores = QUICK if options.quick else FULL, usable_cores()
    peers = [PEERS[name] for name in ("torch",) if options.peers == name and PEERS[name].is_installed]
    facts = {**machine_facts([PEERS["fastbp"], *peers]), "ignored_environment": remove_handicaps()}
    peaks = {options.dtype: measure_fma_peak(options.dtype, n_cores)}
    print(format_header(facts, peaks, [options.dtype]))
    rows = []
    for network in options.net or LIMITS:
        workload = WORKLOADS[network].shortened() if options.quick else WORKLOADS[network]
        print("\n" + format_heading(workload, options.dtype))
        print(f"  {'':16}{'us/step':>10}{'with it':>10}{'cost':>11}{'PyTorch':>12}{'ratio':>10}")
        for name in options.only or OPTIONS:
            if name in OPTIONS and OPTIONS[name].applies_to(workload):
                rows.append(measure_option(workload, name, options.dtype, peers, n_cores, plan))
                print(format_row(rows[-1]), flush=True)
    if not options.only or "fit_many" in options.only:
        workload, repeats = (WORKLOADS["20-64-64-1"], 1 if options.quick else 5)
        rows.append(measure_fit_many(workload, options.dtype, 2 if options.quick else 20, repeats))
        ratios = rows[-1]["ratio"], rows[-1]["ratio_to_one_thread"]
        print(f"\nfit_many, {N_MODELS} networks {workload.name}, against one after the other:")
        print("  {:.2f} times as fast as with all threads, {:.2f} times as fast as with one thread".format(*ratios))
    if options.json:
        document = {"machine": facts, "fma_peak_flops": peaks, "results": rows}
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
