"""Every test draws the same numbers, whatever ran before."""

import pytest

import autodiff_cases


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    autodiff_cases.begin_anew()
