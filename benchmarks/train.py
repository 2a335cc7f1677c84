"""Time one epoch of fastbp and of every peer that is installed, on the same work in one run.

    python benchmarks/train.py                                    the whole table
    python benchmarks/train.py --only 20-100-2 --dtype float32    one workload
    python benchmarks/train.py --quick --json figures.json        rough figures, soon

Each contender has the same data, batch size, type, shuffling and optimizer (Adam at 1e-3), and
runs in a process of its own: fastbp as it comes, a peer with one thread or with all cores,
whichever is faster. What counts as an epoch's time is in `measure`, the workloads with their
FLOPs are in `workloads`, the peers' loops are in `peers`.
"""

import argparse
import json
from dataclasses import asdict

from contender import ContenderError
from machine import machine_facts, measure_fma_peak, usable_cores
from measure import FULL, QUICK, alternate, best_of_each_peer, calibrate_peer
from peers import PEERS
from report import describe_workload, format_header, format_table, make_rows
from workloads import WORKLOADS

DTYPES = ("float32", "float64")


def parse_arguments(arguments=None):
    """Read the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those the program was called with.

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
        choices=WORKLOADS,
        help=f"a workload, may be repeated: {', '.join(WORKLOADS)}",
    )
    parser.add_argument("--dtype", choices=(*DTYPES, "both"), default="both")
    parser.add_argument(
        "--peers",
        metavar="NAMES",
        type=peer_list,
        default=others,
        help=f"who runs against fastbp, separated by commas: {','.join(others)}, or none",
    )
    parser.add_argument("--quick", action="store_true", help="short measurements, few repeats")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    return parser.parse_args(arguments)


def measure_peaks(dtypes, n_cores):
    """Measure the FMA peak of all cores for each type.

    Parameters
    ----------
    dtypes : list of str
        The types.
    n_cores : int
        How many cores work at once.

    Returns
    -------
    dict of str to float
        FLOP/s; empty, with a message printed, when it cannot be measured.
    """
    try:
        return {dtype: measure_fma_peak(dtype, n_cores) for dtype in dtypes}
    except Exception as error:
        print(f"FMA peak not measured: {type(error).__name__}: {error}")
        return {}


def run_workload(workload, dtype, peers, n_cores, plan):
    """Time all contenders on one workload.

    Parameters
    ----------
    workload : workloads.Workload
        The work.
    dtype : {"float32", "float64"}
        The arithmetic.
    peers : list of peers.Peer
        The contenders.
    n_cores : int
        The cores this process may use.
    plan : measure.Plan
        How long to measure.

    Returns
    -------
    timings : list of measure.Timing
        Of those that finished, each with its best number of threads.
    failures : dict of str to str
        The message of each that did not, by the peer's name.
    """
    timings, failures = [], {}
    try:
        for peer in peers:
            try:
                timings += calibrate_peer(peer, workload, dtype, n_cores, plan)
            except ContenderError as error:
                failures[peer.name] = str(error)
        failures.update(alternate(timings, plan))
    finally:
        for timing in timings:
            timing.contender.close()
    finished = [timing for timing in timings if timing.contender.peer.name not in failures]
    return best_of_each_peer(finished), failures


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those the program was called with.
    """
    options = parse_arguments(arguments)
    dtypes = DTYPES if options.dtype == "both" else (options.dtype,)
    plan = QUICK if options.quick else FULL
    asked = [PEERS[name] for name in ("fastbp", *options.peers)]
    peers = [peer for peer in asked if peer.is_installed]
    absent = [peer for peer in asked if not peer.is_installed]
    workloads = [WORKLOADS[name] for name in options.only or WORKLOADS]

    n_cores = usable_cores()
    facts = machine_facts(peers)
    peaks = measure_peaks(dtypes, n_cores)
    print(format_header(facts, peaks, dtypes))
    for peer in absent:
        print(f"{peer.title} is not installed and takes no part")

    rows, failures = [], []
    for workload in workloads:
        for dtype in dtypes:
            timings, failed = run_workload(workload, dtype, peers, n_cores, plan)
            table = make_rows(workload, dtype, timings, peaks.get(dtype))
            print("\n" + format_table(workload, dtype, table), flush=True)
            for name, message in failed.items():
                print(f"  {PEERS[name].title} failed: {message}", flush=True)
                where = {"workload": workload.name, "dtype": dtype, "peer": name}
                failures.append({**where, "message": message})
            rows += table

    if options.json:
        document = {
            "machine": facts,
            "plan": asdict(plan),
            "fma_peak_flops": peaks,
            "absent": [peer.name for peer in absent],
            "workloads": [describe_workload(workload) for workload in workloads],
            "results": rows,
            "failures": failures,
        }
        with open(options.json, "w") as file:
            json.dump(document, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
