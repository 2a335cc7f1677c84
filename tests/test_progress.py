"""The progress bar of ``verbose=2``; `progress.py`."""

import importlib.util
import re
import sys

import pytest
from numpy.testing import assert_array_equal

import fastbp.progress
from callback_cases import SCORE, SMALL, X, ignore_max_iter, weights
from fastbp import MLPRegressor
from fastbp.progress import PlainBar, RichBar, TqdmBar, as_time, new_bar

pytestmark = ignore_max_iter


@pytest.fixture
def without(monkeypatch):
    """A function that lets the import of packages fail."""
    return lambda *names: [monkeypatch.setitem(sys.modules, name, None) for name in names]


NO_TQDM, NO_RICH = ("tqdm", "tqdm.auto"), ("rich", "rich.progress")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_elsewhere_than_on_a_terminal_one_line_is_written(solver, without, capfd):
    without(*NO_TQDM, *NO_RICH)
    model = MLPRegressor(**SMALL, solver=solver, verbose=2).fit(X, SCORE)
    out, err = capfd.readouterr()
    assert out == ""
    unit, rate = ("epochs", " rows/s, ") if solver == "adam" else ("iterations", "")
    assert err.startswith(f"6/6 {unit}, loss {model.loss_:.4g}, ")
    assert rate in err
    assert err.endswith("00:00 left\n")
    assert err.count("\n") == 1
    assert_array_equal(weights(model), weights(MLPRegressor(**SMALL, solver=solver).fit(X, SCORE)))


def test_on_a_terminal_the_line_is_written_over(without, capsys, monkeypatch):
    without(*NO_TQDM, *NO_RICH)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(fastbp.progress, "UPDATE_INTERVAL", 0.0)
    model = MLPRegressor(**SMALL, verbose=2, early_stopping=True).fit(X, SCORE)
    lines = capsys.readouterr().err.split("\r\x1b[K")
    assert [line.partition("/")[0] for line in lines] == ["", "1", "2", "3", "4", "5", "6", "6"]
    for line, score in zip(lines[1:], model.validation_scores_, strict=False):
        assert f"score {score:.4g}, " in line
    assert lines[-1].endswith("\n")
    # at most so often
    monkeypatch.setattr(fastbp.progress, "UPDATE_INTERVAL", 1e9)
    model.fit(X, SCORE)
    assert capsys.readouterr().err.count("\r") == 1


class Stream:
    """What a program may put in the place of the standard error."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_other_objects_than_files(without, monkeypatch):
    without(*NO_TQDM, *NO_RICH)
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    MLPRegressor(**SMALL, verbose=2).fit(X, SCORE)
    assert stream.text.startswith("6/6 epochs")
    monkeypatch.setattr(sys, "stderr", None)  # as in a program without a console
    assert MLPRegressor(**SMALL, verbose=2).fit(X, SCORE).n_iter_ == 6


def test_a_fit_that_fails_closes_the_bar(without, capsys):
    without(*NO_TQDM, *NO_RICH)

    class Fail:
        def on_epoch_end(self, state):
            if state.epoch == 3:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MLPRegressor(**SMALL, verbose=2, callbacks=Fail()).fit(X, SCORE)
    assert capsys.readouterr().err.endswith("left\n")


@pytest.mark.parametrize(("package", "kind"), [("tqdm", TqdmBar), ("rich", RichBar)])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_bars_of_other_packages(package, kind, solver, without, capfd):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if package == "rich":
        without(*NO_TQDM)
    bar = new_bar(3, "epoch")
    assert type(bar) is kind
    bar.close()
    capfd.readouterr()
    model = MLPRegressor(**SMALL, solver=solver, verbose=2, early_stopping=True).fit(X, SCORE)
    shown = "".join(capfd.readouterr())
    assert f"loss {model.loss_:.4g}" in shown
    assert "6/6" in shown
    if solver == "adam":
        assert "score" in shown
        assert "rows/s" in shown
        third = len(X) // 3
        blocks = [(X[i : i + third], SCORE[i : i + third]) for i in range(0, len(X), third)]
        MLPRegressor(**SMALL | dict(batch_size=third), verbose=2).fit_batches(blocks, shuffle_rows=third)
        shown = "".join(capfd.readouterr())
        assert "6/6" in shown
        assert not re.search(r"\.\d{3,}/6", shown)  # shares of an epoch are rounded


def test_without_packages_the_bar_is_plain(without):
    without(*NO_TQDM, *NO_RICH)
    assert type(new_bar(3, "epoch")) is PlainBar
    assert [as_time(seconds) for seconds in (0.2, 59.6, 3599, 3661)] == ["00:00", "01:00", "59:59", "1:01:01"]


def test_a_bar_that_cannot_be_shown(without, monkeypatch, capfd):
    """As by rich before 14.1 in a second fit at the same time."""

    def fail(total, unit):
        raise RuntimeError("Only one live display may be active at once")

    without(*NO_TQDM)
    monkeypatch.setattr(fastbp.progress, "RichBar", fail)
    assert MLPRegressor(**SMALL, verbose=2).fit(X, SCORE).n_iter_ == 6
    assert capfd.readouterr().err.startswith("6/6 epochs")


@pytest.mark.parametrize("verbose", [True, 1, 3, 10])
def test_one_prints_lines(verbose, capsys):
    MLPRegressor(**SMALL, verbose=verbose).fit(X, SCORE)
    out, err = capsys.readouterr()
    assert [line.partition(",")[0] for line in out.splitlines()] == [f"Iteration {n}" for n in range(1, 7)]
    assert err == ""
