"""Time fastbp and every peer that is installed on the same work in one run.

    python benchmarks/train.py                                    the whole table
    python benchmarks/train.py --large                            also the workloads that need gigabytes
    python benchmarks/train.py --only 20-100-2 --dtype float32    one workload
    python benchmarks/train.py --quick --json figures.json        all workloads, shortened
    python benchmarks/train.py --repeats 3                        fewer measurements
    python benchmarks/chart.py figures.json speed.svg             draw the results
    python benchmarks/markdown_tables.py figures.json             print them as the tables of docs/benchmarks.md

Each contender has the same data, batch size, type, shuffling and optimizer (Adam with a learning rate of 1e-3), and
runs in a process of its own. fastbp chooses its number of threads; a peer is timed with one thread and with all cores,
and the better time counts. `measure` defines the time of an epoch, a fit or a call, `jobs` the kinds of work and their
FLOPs, `workloads` the workloads, and `peers` the loops of the peers. `gemm.py` times the matrix products alone.

The share of the limit is that of the least time that the machine allows; see `roofline`. For steps of fastbp that are
below the share that they should reach, the time of their parts is printed; see `parts`. At the end come the rows in
which fastbp is close to the best peer, and the machine on which that was seen; see `standing`.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from machine import (
    machine_facts,
    measure_copy_bandwidth,
    measure_fma_peak,
    measure_memory_rates,
    remove_handicaps,
    usable_cores,
)
from measure import FULL, QUICK, alternate, best_of_each_peer, calibrate_all, close_contenders, open_contenders
from parts import describe_parts, parts_in_process
from peers import PEERS
from report import describe_workload, format_header, format_table, is_below_target, make_rows, significant
from roofline import Rates, describe_memory
from series import SERIES, derive_series
from standing import best_peers, describe_standing
from workloads import BOTH, WORKLOADS


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
    others = [name for name in PEERS if name != "fastbp"]

    def peer_list(text):
        names = [name for name in text.split(",") if name and name != "none"]
        for name in names:
            if name not in others:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(others)}")
        return names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=(*WORKLOADS, *SERIES),
        help=f"a workload or a series, may be repeated: {', '.join((*WORKLOADS, *SERIES))}",
    )
    parser.add_argument("--large", action="store_true", help="the workloads too that need gigabytes of memory or disk")
    parser.add_argument(
        "--dtype",
        choices=(*BOTH, "both"),
        help="by default what each workload asks for; with --quick the first of it",
    )
    parser.add_argument(
        "--peers",
        metavar="NAMES",
        type=peer_list,
        default=others,
        help=f"who runs against fastbp, separated by commas: {','.join(others)}, or none",
    )
    parser.add_argument("--quick", action="store_true", help="shortened workloads, few repeats: a first look")
    parser.add_argument(
        "--repeats",
        metavar="N",
        type=int,
        choices=range(1, 100),
        help=f"measurements of each contender, by default {FULL.repeats}, {FULL.slow_repeats} of slow ones",
    )
    parser.add_argument(
        "--parts",
        choices=("below", "all", "none"),
        default="below",
        help="for which rows the parts of fastbp's step are measured: by default those below their share of the limit",
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    return parser.parse_args(arguments)


def choose(options):
    """List what the command line asks for.

    Parameters
    ----------
    options : argparse.Namespace
        See `parse_arguments`.

    Returns
    -------
    list of (Workload, tuple of str)
        Workloads, each with its dtypes.
    """
    names = [name for name, workload in WORKLOADS.items() if options.large or not workload.large]
    if options.only:
        names = [name for asked in options.only for name in (SERIES[asked].members if asked in SERIES else [asked])]
    chosen = []
    for name in dict.fromkeys(names):
        workload = WORKLOADS[name].shortened() if options.quick else WORKLOADS[name]
        dtypes = workload.dtypes[:1] if options.quick else workload.dtypes
        if options.dtype:
            dtypes = BOTH if options.dtype == "both" else (options.dtype,)
        chosen.append((workload, dtypes))
    return chosen


def measure_rates(dtypes, n_cores):
    """Measure the FMA peak of all cores for each type, and the rates of memory.

    Parameters
    ----------
    dtypes : list of str
        The types.
    n_cores : int
        How many cores work at once.

    Returns
    -------
    roofline.Rates
        Without rates, with a message printed, when they cannot be measured.
    """
    try:
        return Rates({dtype: measure_fma_peak(dtype, n_cores) for dtype in dtypes}, measure_memory_rates(n_cores))
    except Exception as error:
        print(f"FMA peak and rates of memory not measured: {type(error).__name__}: {error}")
        return Rates({}, {})


def is_explained(workload, row, which):
    """Whether the parts of a step are measured for a row.

    Parameters
    ----------
    workload : workloads.Workload
    row : dict
        See `report.make_rows`.
    which : {"below", "all", "none"}
        Rows of fastbp that do not reach their share of the limit; all that consist of steps on dense rows; none.

    Returns
    -------
    bool
    """
    has_parts = row["peer"] == "fastbp" and workload.kind.has_steps and not workload.n_nonzeros
    return has_parts and (is_below_target(row) if which == "below" else which == "all")


def explain(workload, row, n_cores):
    """Measure the parts of fastbp's step, put them into its row, and print them.

    Parameters
    ----------
    workload : workloads.Workload
    row : dict
        See `report.make_rows`.
    n_cores : int
    """
    try:
        row["parts"] = parts_in_process(workload, row["dtype"], n_cores)
    except RuntimeError as error:
        print(f"  {error}", flush=True)
        return
    for line in describe_parts(row["parts"], significant):
        print(f"  fastbp: {line}", flush=True)


def run_workload(workload, dtype, peers, n_cores, plan):
    """Time all contenders on one workload.

    Parameters
    ----------
    workload : workloads.Workload
        The work.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    peers : list of peers.Peer
        The contenders.
    n_cores : int
        The cores this process may use.
    plan : measure.Plan
        How long to measure.

    Returns
    -------
    timings : list of measure.Timing
        Of the contenders that finished, each with its best number of threads.
    failures : dict of str to str
        Name of each peer that failed -> message.
    """
    contenders = open_contenders(peers, workload, dtype, n_cores, plan)
    try:
        timings, failures = calibrate_all(contenders, workload.kind, plan)
        failures.update(alternate(timings))
    finally:
        close_contenders(contenders)
    finished = [timing for timing in timings if timing.contender.peer.name not in failures]
    return best_of_each_peer(finished), failures


def write(document, path):
    """Write the results so far, so that an interrupted run keeps them.

    Parameters
    ----------
    document : dict
    path : str or None
        None writes nothing. Missing directories are created.
    """
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(document, indent=1) + "\n")


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    options = parse_arguments(arguments)
    plan = QUICK if options.quick else FULL
    if options.repeats:
        plan = replace(plan, repeats=options.repeats, slow_repeats=min(options.repeats, plan.slow_repeats))
    asked = [PEERS[name] for name in ("fastbp", *options.peers)]
    peers = [peer for peer in asked if peer.is_installed]
    absent = [peer for peer in asked if not peer.is_installed]
    chosen = choose(options)
    workloads = [workload for workload, _ in chosen]
    all_dtypes = [dtype for dtype in BOTH if any(dtype in dtypes for _, dtypes in chosen)]

    n_cores = usable_cores()
    facts = {**machine_facts(peers), "ignored_environment": remove_handicaps()}
    rates, copy_rate = measure_rates(all_dtypes, n_cores), measure_copy_bandwidth(n_cores)
    print(format_header(facts, rates.fma, all_dtypes, copy_rate))
    if rates.memory:
        print(describe_memory(rates))
    for name, value in facts["ignored_environment"].items():
        print(f"{name}={value} is ignored: it would hold a peer back")
    for peer in absent:
        print(f"{peer.title} is not installed and takes no part")

    document = {
        "machine": facts,
        "plan": asdict(plan),
        "fma_peak_flops": rates.fma,
        "memory_bytes_per_second": rates.memory,
        "copy_bytes_per_second": copy_rate,
        "absent": [peer.name for peer in absent],
        "workloads": [describe_workload(workload) for workload in workloads],
        "results": [],
        "series": [],
        "failures": [],
    }
    for workload, dtypes in chosen:
        contenders = [peer for peer in peers if peer.offers(workload)]
        for dtype in dtypes:
            timings, failed = run_workload(workload, dtype, contenders, n_cores, plan)
            rows = make_rows(workload, dtype, timings, rates, copy_rate)
            print("\n" + format_table(workload, dtype, rows), flush=True)
            for row in rows:
                if is_explained(workload, row, options.parts):
                    explain(workload, row, n_cores)
            document["results"] += rows
            for name, message in failed.items():
                print(f"  {PEERS[name].title} failed: {message}", flush=True)
                where = {"workload": workload.name, "dtype": dtype, "peer": name}
                document["failures"].append({**where, "message": message})
            write(document, options.json)
    document["series"] = derive_series(workloads, document["results"])
    for found in document["series"]:
        print(f"\n{found['title']}, {found['dtype']}, {PEERS[found['peer']].title}\n  {found['sentence']}")
    document["standing"] = best_peers(document["results"])
    print("", *describe_standing(document), sep="\n")
    write(document, options.json)


if __name__ == "__main__":
    main()
