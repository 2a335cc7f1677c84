"""A contender: a process that runs a peer on a workload and times the runs."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from peers import thread_environment

# Idle threads of a pool spin before they sleep, those of OpenBLAS for 2²⁶ cycles. A contender waits this long before it
# starts a run.
SETTLE_SECONDS = 0.03
# A process that was told to end and is still running after this time is killed.
FAREWELL_SECONDS = 10
# A contender that has not answered after this time is ended. No run takes nearly as long.
ANSWER_SECONDS = 1800


class ContenderError(RuntimeError):
    """A contender raised an error, died or did not answer."""


class Contender:
    """A peer that runs a workload in a process of its own.

    Parameters
    ----------
    peer : peers.Peer
        The peer.
    workload : workloads.Workload
        The work.
    dtype : {"float32", "float64"}
        Type of the arithmetic.
    n_threads : int or None
        The number of threads it may use; None leaves the choice to the peer.

    Attributes
    ----------
    key : str
        What its figures are called: the peer's name, and with an option of training also the option's.
    busy_cores : float
        Cores that its process kept busy in the last run.
    facts : dict
        What the last run reported besides its time.
    """

    def __init__(self, peer, workload, dtype, n_threads):
        self.peer, self.n_threads = peer, n_threads
        self.key = peer.name + (f"+{workload.option}" if workload.option else "")
        self.busy_cores, self.facts = 0.0, {}
        worker = Path(__file__).with_name("worker.py")
        length = "short" if workload.short else "full"
        self._process = subprocess.Popen(
            [sys.executable, str(worker), peer.name, workload.name, dtype, length],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **thread_environment(n_threads)},
        )
        # Libraries write to standard error. Only the last line is kept, for the message if the process dies.
        self._last_words = collections.deque(["no message"], maxlen=1)
        lines = (line.strip() for line in self._process.stderr if line.strip())
        self._listener = threading.Thread(target=self._last_words.extend, args=(lines,))
        self._listener.start()

    def wait_until_ready(self):
        """Wait for the peer's import and for its data.

        Raises
        ------
        ContenderError
            If the peer cannot do this work.
        """
        self._answer()

    def seconds(self, count):
        """Time a run.

        Parameters
        ----------
        count : int
            Number of units of work.

        Returns
        -------
        float
            Seconds of wall-clock time, measured inside the contender's process.

        Raises
        ------
        ContenderError
            If the contender raised an error, died or did not answer.
        """
        time.sleep(SETTLE_SECONDS)
        # A broken pipe means that the process has died; reading the answer gives the reason.
        with contextlib.suppress(OSError):
            print(count, file=self._process.stdin, flush=True)
        answer = self._answer()
        self.busy_cores, self.facts = answer["busy_cores"], answer["facts"]
        return answer["seconds"]

    def dismiss(self):
        """Tell the process and its child processes to end, without waiting for them."""
        # Closing flushes, which fails if the process has died.
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def close(self):
        """End the process, by force if it does not end by itself."""
        self.dismiss()
        try:
            self._process.wait(FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._process.stdout.close()
        self._process.stderr.close()

    def _answer(self):
        watchdog = threading.Timer(ANSWER_SECONDS, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line:
            status = self._process.wait()
            self._listener.join()
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            raise ContenderError(f"{how}: {self._last_words[0]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer
