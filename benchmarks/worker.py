"""The process of one contender.

Every contender has a process of its own, because thread pools of different libraries in one process disturb each other,
and many libraries read the number of threads only when they are imported. The benchmark asks the processes in turn. To
start one by hand, for example under a profiler::

    echo 100 | python benchmarks/worker.py fastbp 20-100-2 float32

Each line of the input is a number of units of work (epochs, for training). Each line of the output is a JSON object:
the first one is ``ready``, the others have the ``seconds`` that the work took, the number of cores that the process
kept busy (``busy_cores``) and the ``facts`` that the work reported, or an ``error``. A fourth argument, ``short``,
makes the workload shorter, as ``--quick`` does.
"""

import gc
import json
import os
import sys
import time
import warnings

from peers import PEERS
from workloads import find


def answer_on_stdout():
    """Keep standard output for the answers; whatever a peer prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def main(peer_name, workload_name, dtype, length="full"):
    """Time runs of one contender until the input ends."""
    answers = answer_on_stdout()

    def answer(**message):
        print(json.dumps(message), file=answers, flush=True)

    # A fit of a fixed number of epochs warns that it did not converge. Processes that a job starts inherit the
    # variable.
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    workload = find(workload_name)
    try:
        run = PEERS[peer_name].prepare(workload.shortened() if length == "short" else workload, dtype)
        answer(ready=True)
        for line in sys.stdin:
            count = int(line)
            gc.collect()
            start, cpu_start = time.perf_counter(), time.process_time()
            facts = run(count) or {}
            seconds = time.perf_counter() - start
            busy_cores = (time.process_time() - cpu_start) / seconds
            # Some work times itself.
            answer(seconds=facts.pop("seconds", seconds), busy_cores=busy_cores, facts=facts)
    except Exception as error:
        message = str(error).strip().splitlines()
        answer(error=f"{type(error).__name__}: {message[0] if message else ''}")


if __name__ == "__main__":
    main(*sys.argv[1:])
