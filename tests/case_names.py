"""Names of the cases of a test that are the same in every process."""

import re


def case_name(value):
    """``repr`` without the addresses of objects, for ``ids`` of `pytest.mark.parametrize`.

    With an address a case could not be named on the command line, and processes that share the tests would not agree
    on their names.
    """
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", value if isinstance(value, str) else repr(value))
