"""One contender in a process of its own.

Thread pools of different libraries in one process get into each other's way, and a number of
threads can often be set before the first import only. So every contender lives alone, and the
benchmark asks the processes in turn. By hand, for a profiler::

    echo 100 | python benchmarks/worker.py fastbp 20-100-2 float32

Each line of the input is a number of units of work (epochs). Each line of the output is a JSON
object with the ``seconds`` that they took, or with an ``error``; the first says ``ready``.
"""

import gc
import json
import os
import sys
import time
import warnings

from peers import PEERS
from workloads import WORKLOADS


def answer_on_stdout():
    """Keep standard output for the answers; whatever a peer prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def main(peer_name, workload_name, dtype):
    """Time runs of one contender until the input ends."""
    answers = answer_on_stdout()

    def answer(**message):
        print(json.dumps(message), file=answers, flush=True)

    # A fit of a fixed number of epochs does not converge, and says so every time.
    warnings.simplefilter("ignore")
    try:
        run = PEERS[peer_name].prepare(WORKLOADS[workload_name], dtype)
        answer(ready=True)
        for line in sys.stdin:
            count = int(line)
            gc.collect()
            start = time.perf_counter()
            run(count)
            answer(seconds=time.perf_counter() - start)
    except Exception as error:
        message = str(error).strip().splitlines()
        answer(error=f"{type(error).__name__}: {message[0] if message else ''}")


if __name__ == "__main__":
    main(*sys.argv[1:])
