"""`show_config` shows the configuration in use; `config.py`."""

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy
import sklearn

import fastbp
import fastbp.config
from fastbp import show_config
from fastbp.kernels import ISA, SUPPORTED_ISAS, dispatch
from fastbp.kernels.quantized import INSTRUCTION
from fastbp.threads import available_threads, thread_limits

VECTOR_BITS = {"baseline": 128, "avx2": 256, "avx512": 512}


@pytest.fixture(scope="module")
def config():
    return show_config(mode="dicts")


def config_of_a_new_process(code="", **environment):
    """The dictionaries of an interpreter with these environment variables (None: without), and what it prints."""
    code += "\nimport json, sys, fastbp\nprint(json.dumps(fastbp.show_config(mode='dicts')))\nfastbp.show_config()"
    code += "\nassert 'matplotlib' not in sys.modules, 'it takes a second to import'"
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    process = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    dicts, _, text = process.stdout.partition("\n")
    return json.loads(dicts), text


def test_the_instruction_set_is_the_one_in_use(config):
    facts = config["instruction_set"]
    assert facts["in_use"] == ISA
    assert facts["supported"] == list(SUPPORTED_ISAS)
    assert facts["compiled"] == list(dispatch.COMPILED_ISAS)


@pytest.mark.parametrize("isa", SUPPORTED_ISAS)
def test_what_the_environment_asks_for(isa):
    config, text = config_of_a_new_process(FASTBP_ISA=isa, OMP_NUM_THREADS="1")
    assert config["threads"]["available"] == 1
    assert config["threads"]["limits"]["OMP_NUM_THREADS"] == 1
    assert "    OMP_NUM_THREADS: 1\n" in text
    assert config["instruction_set"]["in_use"] == isa
    assert config["instruction_set"]["chosen_by"] == "FASTBP_ISA"
    assert f"  in_use: {isa}\n  chosen_by: FASTBP_ISA\n" in text
    for bits in (32, 64):
        facts = config[f"float{bits}"]
        assert facts["vector_bits"] == VECTOR_BITS[isa]
        assert facts["vector_elements"] == VECTOR_BITS[isa] // bits
    # each table was built with the flags of its instruction set
    assert ("-mavx512f" in config["build"]["flags"]) == (isa == "avx512")
    assert ("-mfma" in config["build"]["flags"]) == (isa != "baseline")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_register_block_fits_the_registers(config, dtype):
    facts = config[dtype]
    assert facts["vector_bits"] == 8 * dispatch.table_facts(dtype)["vector_bytes"] == VECTOR_BITS[ISA]
    assert facts["vector_elements"] * np.dtype(dtype).itemsize * 8 == facts["vector_bits"]
    assert facts["block_columns"] % facts["vector_elements"] == 0
    # sums, one vector of each column, and a broadcast factor: no instruction set has more than 32 vector registers
    vectors = facts["block_columns"] // facts["vector_elements"]
    assert 1 <= facts["block_rows"] * vectors + vectors + 1 <= 32


def test_the_instruction_for_integers_is_named(config):
    assert config["integers"] == {"instruction": INSTRUCTION}


def test_threads(config):
    threads = config["threads"]
    assert threads["available"] == available_threads() == min(threads["limits"].values())
    assert threads["limits"] == thread_limits()
    assert threads["limits"][threads["limited_by"]] == threads["available"]


def test_the_first_of_the_lowest_limits_is_named(monkeypatch):
    limits = {"processors": 8, "affinity mask": 4, "OMP_NUM_THREADS": 4}
    monkeypatch.setattr(fastbp.config, "thread_limits", lambda: limits)
    assert show_config(mode="dicts")["threads"]["limited_by"] == "affinity mask"


def test_what_is_chosen_where_nothing_is_asked_for():
    """And, where processes can be bound to a processor, what that says of the threads."""
    bind = "import os\nif hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    config, _ = config_of_a_new_process(bind, FASTBP_ISA=None, OMP_NUM_THREADS=None)
    assert config["instruction_set"]["in_use"] == SUPPORTED_ISAS[-1]
    assert config["instruction_set"]["chosen_by"].startswith("default")
    if hasattr(os, "sched_setaffinity"):
        assert config["threads"]["available"] == config["threads"]["limits"]["affinity mask"] == 1
        assert config["threads"]["limited_by"] == ("affinity mask" if os.cpu_count() > 1 else "processors")


def test_build(config):
    build = config["build"]
    assert re.fullmatch(r"(gcc|clang|Apple clang) \d+\.\d+\.\d+", build["compiler"])
    for flag in ("c11", "-O3", "-ffp-contract=fast"):
        assert flag in build["flags"]
    # it assumes NaN away: with it, a diverging fit is not noticed
    assert "-ffast-math" not in build["flags"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", build["cython"])


def test_versions(config):
    assert config["fastbp"] == fastbp.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", fastbp.__version__)
    assert config["packages"]["numpy"] == np.__version__
    assert config["packages"]["scipy"] == scipy.__version__
    assert config["packages"]["scikit-learn"] == sklearn.__version__
    assert config["packages"]["joblib"] == joblib.__version__
    assert config["system"]["python"].endswith(platform.python_version())
    assert config["system"]["architecture"] == platform.machine()


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert fastbp.__version__ == project["version"]


def test_a_package_that_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr(fastbp.config, "PACKAGES", ("numpy", "no-such-package-as-this"))
    assert show_config(mode="dicts")["packages"]["no-such-package-as-this"] is None
    show_config()
    assert "  no-such-package-as-this: not installed\n" in capsys.readouterr().out


def test_what_is_printed_is_what_is_returned(config, capsys):
    assert show_config() is None
    text = capsys.readouterr().out
    printed = [line.strip() for line in text.splitlines()]

    def check(facts):
        for key, value in facts.items():
            if isinstance(value, dict):
                assert f"{key}:" in printed
                check(value)
            elif isinstance(value, list):
                assert f"{key}: {', '.join(value)}" in printed
            elif value is not None:
                assert f"{key}: {value}" in printed

    check(config)


@pytest.mark.parametrize("mode", ["yaml", None, 1])
def test_an_unknown_mode(mode):
    with pytest.raises(ValueError, match=rf'mode must be "stdout" or "dicts", got {mode!r}'):
        show_config(mode=mode)
