"""The line search; `line_search.pyx`."""

import numpy as np
import pytest

from fastbp.kernels.line_search import LineSearch

# sufficient decrease and curvature
MU, ETA = 1e-3, 0.9

#: phi and its derivative, with phi'(0) < 0. The first three are those of section 5 of Moré and Thuente (1994).
FUNCTIONS = {
    "concave, then convex": (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
    "flat, then steep": (
        lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
        lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3,
    ),
    "waves": (
        lambda t: 1 - t + 0.04 / np.pi * np.sin(20 * np.pi * t) + 0.1 * t * t,
        lambda t: -1 + 0.8 * np.cos(20 * np.pi * t) + 0.2 * t,
    ),
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "quartic": (lambda t: t**4 / 4 - t, lambda t: t**3 - 1),
    "cosh": (lambda t: np.cosh(t - 2), lambda t: np.sinh(t - 2)),
}

#: Where a search may end before, because the interval that it has found is narrow
STEEP = ("flat, then steep", "waves")


def steps_of(name, first, most=20):
    """The steps that a search evaluates, the accepted one last; None in its place if there were too many."""
    phi, slope = FUNCTIONS[name]
    search, steps = LineSearch(), []
    search.start_at(phi(0.0), slope(0.0), first)
    for _ in range(most):
        steps.append(search.step)
        if search.observe(phi(search.step), slope(search.step)):
            assert search.step == steps[-1]
            return steps
    return [*steps, None]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 100.0])
def test_the_accepted_step_decreases_enough_and_is_flat_enough(name, first):
    phi, slope = FUNCTIONS[name]
    step = steps_of(name, first)[-1]
    assert phi(step) <= phi(0.0) + MU * step * slope(0.0)
    assert abs(slope(step)) <= ETA * abs(slope(0.0)) or name in STEEP


def test_a_first_step_that_fits_is_taken():
    assert steps_of("parabola", 1.0) == [1.0]


def test_the_interpolation_of_a_parabola_is_exact():
    # a cubic through values and slopes of a parabola is the parabola
    assert steps_of("parabola", 100.0) == pytest.approx([100.0, 3.0], rel=1e-12)


def test_a_step_that_is_too_short_is_extended_by_at_most_four_times_the_last_change():
    steps = np.diff([0, *steps_of("cosh", 1e-3)])
    assert len(steps) > 3
    assert (steps > 0).all()
    assert steps[1:] == pytest.approx(4 * steps[:-1], rel=1e-9)


def test_without_a_minimum_the_steps_grow():
    search = LineSearch()
    search.start_at(0.0, -1.0, 1.0)
    while not search.observe(-search.step, -1.0):
        pass
    assert search.step == 1e10  # the largest one


def test_steps_end_where_the_function_is_not_finite():
    # what is left of the interval is 0, where the search began
    search = LineSearch()
    search.start_at(0.0, -1.0, 1.0)
    assert not search.observe(np.inf, np.nan)
    assert search.step == 0.0


@pytest.mark.parametrize(("slope", "step"), [(0.0, 1.0), (1.0, 1.0), (-1.0, 0.0), (-1.0, 2e10), (np.nan, 1.0)])
def test_wrong_arguments(slope, step):
    with pytest.raises(ValueError, match="slope must be below 0 and step in"):
        LineSearch().start_at(1.0, slope, step)
