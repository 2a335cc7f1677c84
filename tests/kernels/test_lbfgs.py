"""Directions and iterations of L-BFGS, beside a NumPy twin; `lbfgs.pyx` and `lbfgs.h`."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastbp.kernels.lbfgs import EVALUATE, FAILED, ITERATED, LBFGS
from fastbp.kernels.team import Team

MAX_PAIRS = 10
# around the lanes of vectors, the pairs of vectors, and the parts of 1,024 numbers
SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 1023, 1025, 2056, 5003)


def quartic(n, seed=0):
    """A convex function and its gradient, and a starting point."""
    rng = np.random.default_rng(seed)
    scale, center = rng.uniform(0.5, 4, n), rng.normal(size=n)
    start = center + rng.normal(size=n)

    def function(x):
        z = x - center
        return float(scale @ (z**2 / 2 + z**4 / 4)), scale * (z + z**3)

    return function, start


def iterates(search, function, n_iterations):
    """(x, gradient) of the iterates from the starting point on, and the direction from each."""
    points, directions = [], []
    assert search.note(*function(search.x)) == ITERATED
    for _ in range(n_iterations):
        points.append((search.x, search.gradient))
        task = search.iterate()
        directions.append(search.direction)
        while task == EVALUATE:
            task = search.note(*function(search.x))
        assert task == ITERATED
    return points, directions


@pytest.mark.parametrize("n", SIZES)
def test_directions_are_those_of_the_two_loops(n):
    function, start = quartic(n)
    n_iterations = 16 if n > 16 else 4  # before it has converged; more than there are pairs
    points, directions = iterates(LBFGS(start, Team(1)), function, n_iterations)
    pairs = [(x - x_before, g - g_before) for (x_before, g_before), (x, g) in pairwise(points)]
    for number, direction in enumerate(directions):
        expected = reference.lbfgs_direction(pairs[max(0, number - MAX_PAIRS) : number], points[number][1])
        # the kernels take the products of the vectors apart: some digits are lost to cancellation
        assert_allclose(direction, expected, atol=1e-9 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("n", [17, 20_001])  # one part, and parts that are shared
@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_change_no_bit(n, n_threads):
    function, start = quartic(n)
    expected, _ = iterates(LBFGS(start, Team(1)), function, 14)
    with Team(n_threads) as team:
        points, _ = iterates(LBFGS(start, team), function, 14)
    assert_array_equal(np.array(points), np.array(expected))


def test_the_first_step_has_length_one():
    function, start = quartic(5)
    search = LBFGS(start, Team(1))
    search.note(*function(start))
    assert search.iterate() == EVALUATE
    gradient = function(start)[1]
    assert_allclose(search.direction, -gradient, rtol=1e-14)
    assert_allclose(search.x, start - gradient / np.linalg.norm(gradient), rtol=1e-14)


def test_the_losses_and_the_largest_gradient_are_told():
    function, start = quartic(1500)
    search = LBFGS(start, Team(1))
    loss, gradient = function(start)
    search.note(loss, gradient)
    assert (search.loss, search.largest_gradient) == (loss, np.abs(gradient).max())
    search.iterate()
    assert search.loss_before == loss
    gradient[1200] = np.nan
    search.note(loss, gradient)
    assert np.isnan(search.largest_gradient)


def test_where_no_step_is_accepted_the_iterate_is_restored():
    start, n_evaluations = np.arange(1.0, 4.0), 0
    search = LBFGS(start, Team(1))
    search.note(1.0, start)
    task = search.iterate()
    while task == EVALUATE:
        n_evaluations += 1
        task = search.note(np.nan, np.full(3, np.nan))
    assert task == FAILED
    assert n_evaluations == 20
    assert search.n_iterations == 0
    assert_array_equal(search.x, start)
    assert_array_equal(search.gradient, start)


def test_a_gradient_that_is_zero_has_no_descent():
    search = LBFGS(np.ones(3), Team(1))
    search.note(1.0, np.zeros(3))
    assert search.iterate() == FAILED
    assert_array_equal(search.x, np.ones(3))


def test_a_search_without_success_is_repeated_along_the_gradient():
    function, start = quartic(50)
    search = LBFGS(start, Team(1))
    iterates(search, function, 3)
    x, gradient = search.x, search.gradient
    assert search.iterate() == EVALUATE
    with_memory = search.direction
    for _ in range(20):
        assert search.note(np.nan, np.full(50, np.nan)) == EVALUATE
    assert_allclose(search.direction, -gradient, rtol=1e-12, atol=1e-14)
    assert np.abs(with_memory + gradient).max() > 1e-3
    assert_allclose(search.x, x - gradient, rtol=1e-12)  # the first step after the first iteration is 1


def test_wrong_arguments():
    with pytest.raises(ValueError, match="x must have at least one number, got none"):
        LBFGS(np.empty(0), Team(1))
    search = LBFGS(np.ones(3), Team(1))
    with pytest.raises(ValueError, match=r"gradient must have shape \(3,\), got \(4,\)"):
        search.note(1.0, np.ones(4))


def test_without_a_team_or_a_starting_point():
    with pytest.raises(TypeError, match="team"):
        LBFGS(np.ones(3), None)
    for call in (lambda search: search.note(1.0, np.empty(0)), lambda search: search.iterate()):
        with pytest.raises(ValueError, match="the minimization has no starting point"):
            call(LBFGS.__new__(LBFGS))
