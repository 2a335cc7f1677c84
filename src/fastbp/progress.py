"""The progress bar of ``verbose=2``: by tqdm or rich, whichever is installed; else a line that is written over."""

import sys
from time import perf_counter

#: Seconds between two updates of the plain line
UPDATE_INTERVAL = 0.1


def new_bar(total, unit, done=0):
    """A bar by tqdm (in a notebook one of its widgets), by rich, or a plain one.

    Parameters
    ----------
    total : int
        Epochs or iterations.
    unit : str
        What is counted.
    done : int
        How many are done already, in a resumed run.

    Returns
    -------
    object
        With the methods ``update(done, text)`` and ``close()``.
    """
    for kind in (TqdmBar, RichBar):
        try:
            return kind(total, unit, done)
        except Exception:  # not installed, or not to be shown: rich before 14.1 has one display at a time
            continue
    return PlainBar(total, unit, done)


class TqdmBar:
    """A bar by tqdm."""

    def __init__(self, total, unit, done=0):
        from tqdm.auto import tqdm

        self.bar = tqdm(total=total, unit=unit, initial=done)

    def update(self, done, text):
        """Show how many are done, and the text."""
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.n = done  # sums of differences would have rounding errors, which the bar shows
        self.bar.update(0)

    def close(self):
        """The last state stays on the screen."""
        self.bar.refresh()
        self.bar.close()


class RichBar:
    """A bar by rich."""

    def __init__(self, total, unit, done=0):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [BarColumn(), MofNCompleteColumn(), TextColumn(unit + "s"), TimeRemainingColumn()]
        self.bar = Progress(*columns, TextColumn("{task.description}"))
        self.task = self.bar.add_task("", total=total, completed=done)
        self.bar.start()

    def update(self, done, text):
        """Show how many are done, and the text."""
        self.bar.update(self.task, completed=done, description=text)

    def close(self):
        """The last state stays on the screen."""
        self.bar.stop()


class PlainBar:
    """A line on the standard error, written over several times a second on a terminal; elsewhere written at the end."""

    def __init__(self, total, unit, done=0):
        self.total, self.unit, self.first = total, unit, done
        self.begin, self.written, self.line = perf_counter(), 0.0, ""

    def update(self, done, text):
        """Show how many are done, and the text."""
        now = perf_counter()
        left = (now - self.begin) / (done - self.first) * (self.total - done)
        self.line = f"{done:.4g}/{self.total} {self.unit}s, {text}, {as_time(left)} left"
        if now - self.written >= UPDATE_INTERVAL and is_terminal(sys.stderr):
            self.written = now
            self.write("\r\x1b[K")

    def close(self):
        """The last state stays on the screen."""
        if self.line:
            self.write("\r\x1b[K" if is_terminal(sys.stderr) else "", "\n")

    def write(self, before, after=""):
        """Write the line."""
        if sys.stderr is not None:
            sys.stderr.write(before + self.line + after)
            sys.stderr.flush()


def is_terminal(stream):
    """Whether a stream is a terminal; not one is what some programs put in its place: None, or an object without
    ``isatty``."""
    return hasattr(stream, "isatty") and stream.isatty()


def as_time(seconds):
    """Seconds as minutes and seconds, with hours where there are some."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


class ProgressBar:
    """A callback that shows a progress bar with loss, score, rows per second, and the time left to the last epoch."""

    def __init__(self):
        self.bar = None

    def on_fit_begin(self, state):
        """Show an empty bar."""
        self.begin, self.rows_before = perf_counter(), state.rows_seen
        self.bar = new_bar(state.max_iter, "iteration" if state.learning_rate is None else "epoch", state.epoch)

    def on_epoch_end(self, state):
        """Show the state after the epoch."""
        self.show(state, state.rows_seen - self.rows_before)

    def on_window_end(self, state):
        """Show the state in the course of an epoch."""
        share = round(state.rows_in_epoch / state.rows_of_epoch, 2)
        self.show(state, state.rows_seen - self.rows_before + state.rows_in_epoch, share)

    def show(self, state, rows, share=0):
        """Show the state after so many rows, and a share of an epoch that is not over."""
        seconds = perf_counter() - self.begin
        text = f"loss {state.loss:.4g}"
        if state.validation_score is not None:
            text += f", score {state.validation_score:.4g}"
        if rows:
            text += f", {rows / seconds:,.0f} rows/s"
        if state.seconds_waited:
            text += f", {state.seconds_waited / seconds:.0%} of the time waiting for rows"
        self.bar.update(state.epoch + share, text)

    def on_fit_end(self, state):
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
