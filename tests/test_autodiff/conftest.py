"""The random numbers of a test do not depend on the tests before it."""

import pytest

import autodiff_cases


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    autodiff_cases.begin_anew()
