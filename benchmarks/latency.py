"""Rounds of distributed training in a second against the latency of the network. Linux, as root.

    python benchmarks/latency.py --json latency.json

A Dask scheduler with a client, and two workers, each in a network namespace of its own (see `namespaces.py`); between
them a latency, which is checked with messages of one byte. A round is `sync_every` steps of every worker and the
average of parameters and Adam's moments. What is not steps, messages and Dask's own work, is the time of a round
without that of its steps, which are timed without Dask on both workers at the same time.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import machine_facts
from namespaces import Hosts
from tabular_report import format_table

PORT = 8786
ROUND_TRIPS = (0.1, 1, 5, 20, 50)
SYNC_EVERY = (10, 100)
#: Of an epoch, however long they are: what an epoch takes by itself is divided among its rounds
FEWEST_ROUNDS = 5

ANSWER = """
import socket, sys
with socket.create_server((sys.argv[1], 5000)) as server:
    print("ready", flush=True)
    with server.accept()[0] as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while byte := peer.recv(1):
            peer.sendall(byte)
"""
ASK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 5000)) as peer:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(50):
        start = time.perf_counter()
        peer.sendall(b"x")
        peer.recv(1)
        print(time.perf_counter() - start)
"""


def measure_round_trip(hosts):
    """Median seconds of a byte from the first host to the second one and back."""
    address = hosts.addresses[1]
    answerer = hosts.start(1, [sys.executable, "-c", ANSWER, address], stdout=subprocess.PIPE, text=True)
    answerer.stdout.readline()
    asker = hosts.start(0, [sys.executable, "-c", ASK, address], stdout=subprocess.PIPE, text=True)
    seconds = statistics.median(map(float, asker.communicate()[0].split()))
    answerer.communicate()
    return seconds


def start_cluster(hosts):
    """Start a scheduler on the first host and a worker on each of the others; the scheduler's address."""
    # the workers import the functions of rounds.py
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "PYTHONPATH": path}}
    dask = [sys.executable, "-m", "dask"]
    scheduler = f"tcp://{hosts.addresses[0]}:{PORT}"
    hosts.start(0, [*dask, "scheduler", "--host", hosts.addresses[0], "--port", str(PORT), "--no-dashboard"], **quiet)
    for host, address in enumerate(hosts.addresses[1:], start=1):
        hosts.start(host, [*dask, "worker", scheduler, "--host", address, "--nthreads", "1", "--no-dashboard"], **quiet)
    return scheduler


def run_client(hosts, scheduler, options):
    """Measure with a client on the first host; the results, a dict for each number of steps."""
    command = [sys.executable, __file__, "--scheduler", scheduler, "--workers", str(len(hosts.addresses) - 1)]
    command += ["--rounds", str(options.rounds)]
    command += [part for steps in options.sync_every for part in ("--sync-every", str(steps))]
    output, _ = hosts.start(0, command, stdout=subprocess.PIPE, text=True).communicate()
    if not output:
        raise RuntimeError("the client failed")
    return json.loads(output)


def rounds_of_an_epoch(rounds, sync_every):
    """How many rounds of `sync_every` steps an epoch has: `rounds` of 10 steps, fewer of longer ones."""
    return max(FEWEST_ROUNDS, rounds * 10 // max(10, sync_every))


def measure_as_client(options):
    """What the client does: print the results."""
    from distributed import Client

    from rounds import SMALL, measure_round, measure_step

    with Client(options.scheduler, timeout=60) as client:
        client.wait_for_workers(options.workers, timeout=60)
        step = measure_step(client, SMALL)
        found = []
        for sync_every in options.sync_every:
            seconds = measure_round(client, SMALL, sync_every, rounds_of_an_epoch(options.rounds, sync_every))
            facts = {"sync_every": sync_every, "seconds_per_round": seconds, "seconds_per_step": step}
            found.append({**facts, "not_steps": max(0.0, 1 - sync_every * step / seconds)})
        print(json.dumps(found))


def measure(options):
    """Measure with every latency; the rows of the table."""
    results = []
    with Hosts(1 + options.workers) as hosts:
        print(f"latency by {'netem' if hosts.use_netem else 'a relay in user space'}", flush=True)
        scheduler = start_cluster(hosts)
        for milliseconds in options.milliseconds:
            bits = options.gigabits and 1e9 * options.gigabits
            hosts.set_line(1e-3 * milliseconds, bits)
            facts = {"round_trip_ms": milliseconds, "measured_round_trip_ms": 1e3 * measure_round_trip(hosts)}
            facts["gigabits_per_second"] = options.gigabits
            results += [{**facts, **found} for found in run_client(hosts, scheduler, options)]
            print(f"{milliseconds:g} ms is measured", flush=True)
    return results


def show(results, predicted=None):
    """The table of the results, in Markdown.

    Parameters
    ----------
    results : list of dict
    predicted : list of float or None, default=None
        Seconds of the rounds by the cost model, for another column.

    Returns
    -------
    str
    """
    head = ["round trip, ms", "measured, ms", "steps of a round", "rounds/s", "ms of a round", "not steps, %"]
    rows = [
        [
            f"{row['round_trip_ms']:g}",
            f"{row['measured_round_trip_ms']:.2f}",
            str(row["sync_every"]),
            f"{1 / row['seconds_per_round']:.3g}",
            f"{1e3 * row['seconds_per_round']:.3g}",
            f"{100 * row['not_steps']:.0f}",
        ]
        for row in results
    ]
    if predicted is None:
        return format_table(head, rows)
    shares = [seconds / row["seconds_per_round"] for seconds, row in zip(predicted, results, strict=True)]
    differences = [f"{round(100 * (share - 1)):+d} %" for share in shares]
    columns = zip(rows, predicted, differences, strict=True)
    return format_table([*head, "predicted, ms", "difference"], [[*row, f"{1e3 * p:.3g}", d] for row, p, d in columns])


def main(arguments=None):
    """Measure and print the table.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="where to write the results")
    parser.add_argument("--milliseconds", type=float, action="append", help="round trip; may be given several times")
    parser.add_argument("--sync-every", type=int, action="append", help="steps of a round; likewise")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--rounds", type=int, default=10, help="rounds of 10 steps in an epoch; fewer of longer ones, but at least 5"
    )
    parser.add_argument("--gigabits", type=float, help="rate at which each host can send, Gbit/s; no limit without")
    parser.add_argument("--scheduler", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.milliseconds = options.milliseconds or ROUND_TRIPS
    options.sync_every = options.sync_every or SYNC_EVERY
    if options.scheduler:
        measure_as_client(options)
        return
    # an end by SIGTERM too removes the namespaces
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = measure(options)
    print(show(results))
    if options.json:
        document = {"machine": machine_facts([]), "date": time.strftime("%Y-%m-%d"), "results": results}
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
