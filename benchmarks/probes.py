"""Memory and threads of a contender, which its own process measures. Linux only."""

import contextlib
import os
import statistics
import threading
from pathlib import Path

from machine import read_memory

PROC = Path("/proc")


def resident_bytes():
    """Bytes of this process that are in memory.

    Returns
    -------
    dict of str to int
        ``anonymous``: heap, stacks and arrays; ``file``: pages of files that are mapped.

    Raises
    ------
    NotImplementedError
        If the system has no /proc.
    """
    try:
        return {"anonymous": read_memory("RssAnon"), "file": read_memory("RssFile")}
    except OSError as error:
        raise NotImplementedError("resident memory is read from /proc/self/status, which only Linux has") from error


def running_threads():
    """Count the threads of this process's descendants that run or wait for a processor.

    Returns
    -------
    int or None
        None if the system has no /proc.
    """
    if not (PROC / "self/stat").exists():
        return None
    parents = {int(path.name): parent_of(path) for path in PROC.iterdir() if path.name.isdigit()}
    family = set()
    for process in parents:
        ancestor = parents[process]
        while ancestor not in (None, 0, os.getpid()):
            ancestor = parents.get(ancestor)
        if ancestor == os.getpid():
            family.add(process)
    return sum(state == "R" for process in family for state in thread_states(process))


def fields_after_name(path):
    """The fields of a stat file of /proc after the command's name, which is in brackets and may contain spaces."""
    return path.read_text().rpartition(")")[2].split()


def parent_of(directory):
    """The number of a process's parent; None if the process has ended."""
    try:
        return int(fields_after_name(directory / "stat")[1])
    except OSError:
        return None


def thread_states(process):
    """The states of a process's threads: R if a thread runs or waits for a processor."""
    states = []
    with contextlib.suppress(OSError):
        for path in (PROC / str(process) / "task").iterdir():
            with contextlib.suppress(OSError):
                states.append(fields_after_name(path / "stat")[0])
    return states


class Sampler:
    """A context manager that reads a number at regular intervals, in a thread.

    Parameters
    ----------
    read : callable
        Returns a number, or None if there is none.
    interval : float, default=0.01
        Seconds between two readings.
    """

    def __init__(self, read, interval=0.01):
        self._read, self._interval = read, interval
        self._values = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self):
        while True:
            self._values.append(self._read())
            if self._is_over.wait(self._interval):
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._is_over.set()
        self._thread.join()

    @property
    def max(self):
        """The largest reading."""
        return None if None in self._values else max(self._values)

    @property
    def median(self):
        """The median of the readings."""
        return None if None in self._values else statistics.median(self._values)
