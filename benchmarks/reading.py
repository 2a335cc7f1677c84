"""Measure how fast `fastbp.sources` reads a training set from files of each format.

    python benchmarks/reading.py                                2,000,000 rows of 30 float32 columns, and y
    python benchmarks/reading.py --rows 20000000 --folder DIR   larger than the memory, on a disk of choice
    python benchmarks/reading.py --quick

Each file is written to a temporary folder and read by one thread of a process of its own, as plain bytes and by
`as_source`, three times each, the best of which counts. The system keeps files in memory that have room there: these
are times of decoding, and of the disk only if a file is larger. Printed are rows per second; GB per second of the
float32 numbers of X and y, of the file, and of the plain bytes; and MB by which the resident memory grew.
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fastbp.sources import as_source
from machine import machine_facts, read_memory
from report import significant

N_COLUMNS = 30
REPEATS = 3


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where the files are written; by default a temporary folder")
    parser.add_argument("--quick", action="store_true", help="20,000 rows")
    options = parser.parse_args(arguments)
    n_rows = 20_000 if options.quick else options.rows
    print(f"{machine_facts({})['cpu']}; {n_rows:,} rows of {N_COLUMNS} columns of float32; pyarrow {pa.__version__}\n")
    print(f"{'':22}{'rows/s':>12}{'GB/s out':>10}{'GB/s file':>10}{'GB/s bytes':>11}{'MB':>6}")
    for name, write in WRITERS.items():
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder) / name.split()[-1]
            write(n_rows, path)
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
                seconds, plain, grown = executor.submit(measure, path).result()
            size, out = path.stat().st_size / 1e9, n_rows * (N_COLUMNS + 1) * 4 / 1e9
        figures = [significant(value) for value in (out / seconds, size / seconds, size / plain)]
        print(f"{name:22}{n_rows / seconds:12,.0f}{figures[0]:>10}{figures[1]:>10}{figures[2]:>11}{grown / 1e6:6.0f}")


def measure(path):
    """Seconds to read a file by `as_source` and as plain bytes, and the bytes by which the resident memory grew."""
    plain = min(timed(read_bytes, path) for _ in range(REPEATS))
    target = {".npy": -1, ".npz": None}.get(path.suffix, "y")
    source, before = as_source(path, target=target), read_memory("VmRSS")
    return min(timed(read_blocks, source) for _ in range(REPEATS)), plain, max(read_blocks(source)) - before


def timed(function, argument):
    """The seconds that a call takes."""
    begin = time.perf_counter()
    function(argument)
    return time.perf_counter() - begin


def read_bytes(path):
    """Read a file into one buffer again and again."""
    buffer = bytearray(2**20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_blocks(source):
    """Read all blocks; the resident memory after each."""
    return [read_memory("VmRSS") for _ in source.blocks()]


def matrix(n_rows):
    """The training set: standard normal numbers, and 0 or 1 in the last column."""
    X = np.random.default_rng(0).standard_normal((n_rows, N_COLUMNS + 1), dtype=np.float32)
    X[:, -1] = X[:, -1] > 0
    return X


def table(n_rows):
    """The training set as a table."""
    names = [*(f"f{number}" for number in range(N_COLUMNS)), "y"]
    return pa.table(dict(zip(names, np.ascontiguousarray(matrix(n_rows).T), strict=True)))


def write_npz(n_rows, path):
    """The arrays X and y, not compressed."""
    rows = matrix(n_rows)
    np.savez(path, X=rows[:, :-1], y=rows[:, -1])


def write_arrow(n_rows, path):
    """Record batches of 65,536 rows."""
    with pa.ipc.new_file(path, (whole := table(n_rows)).schema) as file:
        file.write_table(whole, max_chunksize=65_536)


WRITERS = {
    ".npy a.npy": lambda n_rows, path: np.save(path, matrix(n_rows)),
    ".npz a.npz": write_npz,
    "Parquet a.parquet": lambda n_rows, path: pa.parquet.write_table(table(n_rows), path),
    "Arrow a.arrow": write_arrow,
    "CSV a.csv": lambda n_rows, path: pa.csv.write_csv(table(n_rows), path),
}

if __name__ == "__main__":
    main()
