"""The speed of reading; `benchmarks/reading.py`."""

import pytest

pytest.importorskip("pyarrow")


def test_every_format_is_read(benchmarks, tmp_path):
    reading = benchmarks("reading")
    for name, write in reading.WRITERS.items():
        path = tmp_path / name.split()[-1]
        write(1000, path)
        seconds, plain, _ = reading.measure(path)
        assert seconds > 0
        assert plain > 0
    assert len(list(tmp_path.iterdir())) == len(reading.WRITERS)
