"""Train on Parquet files that are larger than the memory that the process may have.

    python benchmarks/larger_than_memory.py --folder FOLDER
    python benchmarks/larger_than_memory.py --folder FOLDER --gigabytes 0.1 --json larger_than_memory.json

Rows of 30 float32 numbers and one of 8 labels are written to FOLDER, in 16 Parquet files of ``--gigabytes`` together
(4 by default); files of an earlier run are used again. Needs pyarrow and Linux. Each measurement is a process of its
own, and they take turns:

- read: one pass over the files, without training: what `fit_batches` reads, alone;
- memory: the second and the third epoch of `fit` on a part of the rows that fits into memory;
- stream: `fit_batches` for one epoch over all files, in a process whose address space is limited to ``--limit``
  gigabytes (RLIMIT_AS), which is less than the files have;
- cold: the same, after the files were dropped from the cache of the operating system.

Printed are medians: rows per second, the share of those in memory, the share of the time that training waited for
rows, and the largest resident memory of the process. A process needs 1.6 to 2.0 GB of address space whatever the data:
with a smaller ``--limit`` it ends in an error. Whether reading keeps up depends on the network: with a small one the
threads of training and the one that reads share the processors. With ``--threads`` one fewer than there are processors,
reading has one of its own. Results of 4 GB are in ``results/larger-than-memory-epyc-2-cores.json``.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from fastbp import MLPClassifier
from fastbp.sources import as_source
from machine import cpu_model, read_memory, usable_cores

N_FEATURES, N_CLASSES, N_FILES = 30, 8, 16
ROW_BYTES = 4 * N_FEATURES
NETWORKS = {"64": (64,), "256-128": (256, 128)}
#: Rows of a window
SHUFFLE_ROWS = 2**18
#: The part of the rows that is trained on in memory
IN_MEMORY = 1 / 8
GB = 1e9


def write_files(folder, gigabytes):
    """Write the files, unless they are there.

    Parameters
    ----------
    folder : Path
    gigabytes : float
        Of the numbers in X.

    Returns
    -------
    list of str
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_rows = max(1, int(gigabytes * GB / ROW_BYTES / N_FILES))
    paths = [folder / f"rows-{n_rows}-{number:02}.parquet" for number in range(N_FILES)]
    projection = np.random.default_rng(0).standard_normal((N_FEATURES, N_CLASSES), np.float32)
    for number, path in enumerate(paths):
        if not path.exists():
            X = np.random.default_rng(number + 1).standard_normal((n_rows, N_FEATURES), np.float32)
            columns = {f"x{i}": X[:, i] for i in range(N_FEATURES)} | {"y": (X @ projection).argmax(1).astype(np.int8)}
            part = path.with_suffix(".part")
            pq.write_table(pa.table(columns), part, row_group_size=2**17, use_dictionary=["y"])
            part.rename(path)
    return [str(path) for path in paths]


def estimator(network, n_threads, max_iter=1, callbacks=None):
    """The estimator that is measured."""
    options = dict(batch_size=256, random_state=0, tol=0, n_threads=n_threads)
    return MLPClassifier(NETWORKS[network], max_iter=max_iter, callbacks=callbacks, **options)


class Waiting:
    """Notes how long training has waited for rows."""

    seconds = 0.0

    def on_window_end(self, state):
        self.seconds = state.seconds_waited


def read(source, network, n_threads, limit):
    """Rows per second of a pass over the files."""
    begin = time.perf_counter()
    for _ in source.blocks():
        pass
    return {"rows_per_second": source.n_rows / (time.perf_counter() - begin)}


def memory(source, network, n_threads, limit):
    """Rows per second of an epoch in memory."""
    n_rows, blocks = max(1, int(source.n_rows * IN_MEMORY)), []
    for block in source.blocks():
        blocks.append(block)
        if sum(len(block.y) for block in blocks) >= n_rows:
            break
    X, y = (np.concatenate(parts) for parts in ([b.X for b in blocks], [b.y for b in blocks]))
    del blocks
    seconds = estimator(network, n_threads, max_iter=3).fit(X, y).history_["seconds"]
    return {"rows_per_second": 2 * len(X) / (seconds[2] - seconds[0])}


def stream(source, network, n_threads, limit):
    """Rows per second of an epoch of `fit_batches` with little memory."""
    resource.setrlimit(resource.RLIMIT_AS, (int(limit * GB), int(limit * GB)))
    waiting = Waiting()
    begin = time.perf_counter()
    model = estimator(network, n_threads, callbacks=waiting)
    model.fit_batches(source, classes=np.arange(N_CLASSES), shuffle_rows=SHUFFLE_ROWS)
    seconds = time.perf_counter() - begin
    return {
        "rows_per_second": source.n_rows / seconds,
        "waiting": waiting.seconds / seconds,
        "resident_gigabytes": read_memory("VmHWM") / GB,
    }


def cold(source, network, n_threads, limit):
    """`stream`, from the disk."""
    for path in source.paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return stream(source, network, n_threads, limit)


MEASUREMENTS = {function.__name__: function for function in (read, memory, stream, cold)}


def measure(paths, name, network, n_threads, limit):
    """A measurement in a process of its own: a dict of its figures."""
    command = [sys.executable, __file__, "--child", name, network, str(n_threads), str(limit), *paths]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def child(name, network, n_threads, limit, *paths):
    """Measure in this process, and print the figures."""
    warnings.simplefilter("ignore")  # so few epochs do not converge
    source = as_source(list(paths), target="y")
    print(json.dumps(MEASUREMENTS[name](source, network, int(n_threads), float(limit))))


def report(gigabytes, limit, n_threads, found):
    """The lines of the table."""
    lines = [
        f"{cpu_model()}, {usable_cores()} cores, {n_threads} threads of training; {gigabytes:g} GB of Parquet, address "
        f"space of {limit:g} GB"
    ]
    lines.append(f"{'network':10} {'':8} {'rows/s':>12} {'of memory':>10} {'waiting':>9} {'resident':>10}")
    for network, of_network in found.items():
        in_memory = of_network.get("memory", {}).get("rows_per_second")
        for name, figures in of_network.items():
            rows = figures["rows_per_second"]
            share = f"{rows / in_memory:.0%}" if in_memory else ""
            line = f"{network:10} {name:8} {rows:12,.0f} {share:>10}"
            if "waiting" in figures:
                line += f" {figures['waiting']:9.1%} {figures['resident_gigabytes']:7.2f} GB"
            lines.append(line)
    return lines


def main(arguments=None):
    """Run the benchmark and print it.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the files are, or are written to")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="of numbers in all files together")
    parser.add_argument("--limit", type=float, default=3.0, metavar="GB", help="of the address space")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="hidden units")
    parser.add_argument("--measurements", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--threads", type=int, default=usable_cores(), metavar="N", help="of training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = write_files(options.folder, options.gigabytes)
    runs = {network: {name: [] for name in options.measurements} for network in options.networks}
    for _ in range(options.repeats):
        for network, of_network in runs.items():
            for name, figures in of_network.items():
                figures.append(measure(paths, name, network, options.threads, options.limit))
    found = {
        network: {
            name: {key: statistics.median(figures[key] for figures in run) for key in run[0]}
            for name, run in of_network.items()
        }
        for network, of_network in runs.items()
    }
    print(*report(options.gigabytes, options.limit, options.threads, found), sep="\n")
    if options.json:
        machine = {"cpu": cpu_model(), "cores": usable_cores(), "threads": options.threads}
        contents = {"machine": machine, "gigabytes": options.gigabytes, "limit": options.limit, "networks": found}
        Path(options.json).write_text(json.dumps(contents, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
