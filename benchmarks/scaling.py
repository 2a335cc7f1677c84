"""Measure what the cost model of `cost_model.py` needs, and rows per second of `fastbp.dask`, to compare with it.

    python benchmarks/scaling.py scaling.json
    python benchmarks/scaling_report.py scaling.json --docs docs/scaling.md --chart scaling.svg

On clusters of this machine, with workers of one thread each. Measured for the model: the time of a step, with one
worker and with one on each core; the time of rounds of a tiny network, which is that of Dask; and that of rounds of a
larger one, which is that of copies. Numbers of the file are those of the fastest of three runs.
"""

import argparse
import json
import time
from pathlib import Path

from distributed import Client, LocalCluster

from cost_model import ROUNDS, Cluster, count_tasks, on_one_machine, predict_rate, simulate
from machine import machine_facts, usable_cores
from rounds import LARGE, MEDIUM, SMALL, TINY, measure_round, measure_step, processor_seconds

#: What is compared: a net, and the steps of a round
COMPARED = [(SMALL, 10), (SMALL, 100), (MEDIUM, 5), (MEDIUM, 20)]
WORKERS = (1, 2, 4)


def with_workers(n_workers, measure):
    """What `measure` returns for the client of a cluster of `n_workers` processes on this machine."""
    options = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        return measure(client)


def measure_steps(client):
    """Seconds of a step of each net, with all workers busy."""
    n_steps = {TINY: 500, SMALL: 100, MEDIUM: 20, LARGE: 3}
    return {net.name: measure_step(client, net, n) for net, n in n_steps.items()}


def measure_overheads(client):
    """Of rounds of one step of the tiny net: seconds, those of the processor in this process, which has the client and
    the scheduler, and those of the processors in all workers."""
    clocks = time.perf_counter, time.process_time, lambda: processor_seconds(client)
    return [measure_round(client, TINY, 1, 20, clock=clock) for clock in clocks]


def calibrate(n_cores):
    """The constants of the model.

    Returns
    -------
    dict
        step_seconds, by the number of busy workers, as a string, and net; those of `CONSTANTS`, as for `Cluster`;
        tiny_round_seconds, by the number of workers, which `measure_overheads` gives.
    """
    here = on_one_machine(n_cores)
    steps = {str(n): with_workers(n, measure_steps) for n in sorted({min(n, n_cores) for n in WORKERS})}
    print(f"steps: {steps}", flush=True)
    tiny = {n: with_workers(n, measure_overheads) for n in (2, 4)}
    print(f"overheads: {tiny}", flush=True)
    medium = with_workers(2, lambda client: measure_round(client, MEDIUM, 1, 5))
    (seconds, head, workers), (_, head_of_4, _) = tiny[2], tiny[4]
    # the rest is waiting: Dask collects messages for some milliseconds before it sends them
    constants = {
        "task_seconds": max(0.0, (head_of_4 - head) / (count_tasks(4) - count_tasks(2))),
        "worker_seconds": workers / count_tasks(2),
    }
    fixed = Cluster(2, 0.0, 0, 1, **constants, **here)
    constants["round_seconds"] = max(0.0, seconds - simulate(fixed))
    # the copies take what is left of the larger round; the time of a round grows with that of a byte
    step, low, high = steps[str(min(2, n_cores))]["medium"], 0.0, 1e-7
    for _ in range(40):
        middle = (low + high) / 2
        cluster = Cluster(2, step, MEDIUM.n_params, 1, copy_seconds=middle, **constants, **here)
        low, high = (middle, high) if simulate(cluster) < medium else (low, middle)
    return {"step_seconds": steps, **constants, "copy_seconds": low, "tiny_round_seconds": tiny}


def compare(constants, n_workers):
    """Rows per second of each of `COMPARED`, measured and predicted."""

    def measure(client):
        return [measure_round(client, net, sync_every, ROUNDS) for net, sync_every in COMPARED]

    found = []
    for (net, sync_every), seconds in zip(COMPARED, with_workers(n_workers, measure), strict=True):
        facts = {"net": net.name, "sync_every": sync_every, "n_workers": n_workers}
        predicted = predict_rate(constants, net, sync_every, n_workers, usable_cores())
        measured = n_workers * sync_every * net.batch_size / seconds
        found.append({**facts, "rows_per_second": measured, "predicted_rows_per_second": predicted})
        print(found[-1], flush=True)
    return found


def main(arguments=None):
    """Measure and write.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", metavar="FILE", help="where to write the results")
    parser.add_argument("--latency", metavar="FILE", help="what latency.py wrote, to be put in too")
    options = parser.parse_args(arguments)
    constants = calibrate(usable_cores())
    print(constants, flush=True)
    document = {"machine": machine_facts([]), "date": time.strftime("%Y-%m-%d"), "constants": constants}
    document["nets"] = {net.name: net.n_params for net in (TINY, SMALL, MEDIUM, LARGE)}
    document["comparison"] = [row for n in WORKERS for row in compare(constants, n)]
    if options.latency:
        document["latency"] = json.loads(Path(options.latency).read_text())["results"]
    Path(options.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
