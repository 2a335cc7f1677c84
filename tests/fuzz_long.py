"""The long run of the random tests: python tests/fuzz_long.py <number of examples> [seed]

New examples in each run; the seed is printed, and repeats it. The process has a limit of memory, so that an array of
absurd size is an error and does not fill the machine, and it prints the stacks of all threads if it crashes. Printed at
the end: what the calls came to, by kind of call and of error.
"""

import contextlib
import faulthandler
import platform
import secrets
import sys
import tempfile
import time
from collections import Counter

from hypothesis import HealthCheck, given, seed, settings

from fastbp import MLPClassifier, MLPRegressor
from fuzz_calls import run, stories
from fuzz_networks import problems
from test_fuzz import check_gradient

MEMORY = 8 * 2**30
#: One of so many examples is a network whose gradient is checked
GRADIENTS = 20


def limit_memory():
    """Of this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def run_examples(strategy, function, n_examples, chosen_seed):
    """Run a function on random examples; the first one that fails is reduced, and raised."""

    @seed(chosen_seed)
    @settings(max_examples=n_examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def property_holds(example):
        function(example)

    property_holds()


def summary(tally):
    """Lines with the outcomes of each kind of call."""
    lines = []
    for name in sorted({key.partition(": ")[0] for key in tally}):
        outcomes = {key.partition(": ")[2]: n for key, n in tally.items() if key.partition(": ")[0] == name}
        shown = sorted(outcomes.items(), key=lambda item: -item[1])
        lines.append(f"{name:18}" + ", ".join(f"{outcome} {n:,}" for outcome, n in shown))
    return lines


def main(n_examples, chosen_seed):
    """Run the examples and print the figures."""
    print(f"{n_examples:,} examples, seed {chosen_seed}", flush=True)
    begin, tally = time.perf_counter(), Counter()
    n_gradients = max(1, n_examples // GRADIENTS)
    for Estimator in (MLPClassifier, MLPRegressor):
        story_count = (n_examples - n_gradients) // 2
        run_examples(stories(Estimator), lambda story, cls=Estimator: run(cls, story, tally), story_count, chosen_seed)
        print(f"{Estimator.__name__}: {story_count:,} stories, {time.perf_counter() - begin:,.0f} s", flush=True)
    run_examples(problems(), check_gradient, n_gradients, chosen_seed)
    print(f"gradients of {n_gradients:,} networks; {time.perf_counter() - begin:,.0f} s in all")
    print(f"{sum(tally.values()):,} calls on {platform.machine()}, Python {platform.python_version()}:")
    print("\n".join(summary(tally)))


if __name__ == "__main__":
    faulthandler.enable()
    limit_memory()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # checkpoints are written there
        main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbelow(2**32))
