"""The choice of the instruction set, and what the tables of names say; `dispatch.pyx`."""

import os
import subprocess
import sys

import pytest

import warm_python
from fastbp.kernels import ISA, SUPPORTED_ISAS, dispatch

PRINT = "from fastbp.kernels import ISA; print(ISA)"


def isa_in_use(**environment):
    """A new interpreter that prints the instruction set it chose."""
    return subprocess.run(
        [sys.executable, "-c", PRINT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("isa", SUPPORTED_ISAS)
def test_the_environment_chooses(isa):
    # the interpreter that made the imports is a new one, in which this variable was set; further tests use it
    process = warm_python.run(["-c", PRINT], FASTBP_ISA=isa)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == isa


def test_an_empty_choice_is_none():
    assert isa_in_use(FASTBP_ISA="").stdout.strip() == SUPPORTED_ISAS[-1]


def test_an_unknown_instruction_set():
    process = isa_in_use(FASTBP_ISA="mmx")
    assert process.returncode != 0
    message = process.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: FASTBP_ISA='mmx' cannot be used")
    for isa in SUPPORTED_ISAS:
        assert isa in message


def test_choose_isa():
    assert dispatch.choose_isa() == dispatch.choose_isa("") == SUPPORTED_ISAS[-1]
    assert [dispatch.choose_isa(isa) for isa in SUPPORTED_ISAS] == list(SUPPORTED_ISAS)
    with pytest.raises(ImportError, match=", ".join(SUPPORTED_ISAS)):
        dispatch.choose_isa("mmx")


def test_supported_instruction_sets():
    assert SUPPORTED_ISAS[0] == "baseline"
    assert ISA in SUPPORTED_ISAS
    # from the least to the most capable, as they were compiled
    assert [isa for isa in dispatch.COMPILED_ISAS if isa in SUPPORTED_ISAS] == list(SUPPORTED_ISAS)


def test_tables_of_names():
    for table in (dispatch.ACTIVATIONS, dispatch.LOSSES, dispatch.OPTIMIZERS, dispatch.KINDS):
        assert list(table.values()) == list(range(len(table)))
    assert dispatch.NEEDS_PREACTIVATION.issubset(dispatch.ACTIVATIONS)
    assert set(dispatch.LINKS) == set(dispatch.LOSSES)
    assert set(dispatch.LINKS.values()) <= set(dispatch.ACTIVATIONS)
