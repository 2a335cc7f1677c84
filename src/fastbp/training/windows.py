"""Windows of rows, which a thread reads while the one before is trained on."""

import threading
from contextlib import closing
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import NamedTuple

from fastbp.kernels.data import Data
from fastbp.training.reader import LONGEST_WAIT


class TrainingWindow(NamedTuple):
    """Rows to train on.

    Parameters
    ----------
    data : Data
    rows : tuple or None
        X, targets and sample weights, as `TrainingState` has them; None for those that it has.
    """

    data: Data
    rows: tuple | None = None


#: In the queue: the end of a pass over the rows
END = object()
#: Windows in memory at the same time: one to train on, and one that is read
N_WINDOWS = 2


class Windows:
    """The windows of one pass over the rows after the other, as `TrainingWindow`.

    A thread reads them, one ahead, from `begin` to `close`.

    Parameters
    ----------
    reader : Reader
        The thread, which has read the first window. Closed by `close`.
    first : Data
        The first window of the first pass.
    n_rows : int
        Rows of a pass.
    read : callable
        ``read(epoch)``: a generator of the windows, `TrainingWindow`, of the pass of an epoch, counted from 0; of epoch
        0 those after `first`. It is called in the thread. A window may use the memory of the last one but one.
    n_epochs : int
        Passes in all.

    Attributes
    ----------
    current : TrainingWindow or None
        The last window that `epoch` has given. Its memory stays as it is until the next one is taken.
    seconds_waited : float
        How long training has waited for windows.
    failed : bool
        Whether reading has raised an exception, which was raised in `epoch` then.
    """

    def __init__(self, reader, first, n_rows, read, n_epochs):
        self.reader, self.n_rows, self.read, self.n_epochs = reader, n_rows, read, n_epochs
        self.current = TrainingWindow(first)
        self.seconds_waited, self.failed, self.is_reading = 0.0, False, False

    def begin(self, epoch, note_reading):
        """Start to read.

        Parameters
        ----------
        epoch : int
            The first one that is trained.
        note_reading : callable
            The thread calls it with True when it begins to read a window, and with False when it has one.
        """
        self.note_reading = note_reading
        if epoch:
            self.current = None
        self.queue, self.room = SimpleQueue(), threading.Semaphore(N_WINDOWS - (self.current is not None))
        self.is_begun, self.is_reading = False, True
        self.reader.start(self.work, epoch)

    def epoch(self):
        """The windows of the next epoch.

        Yields
        ------
        TrainingWindow

        Raises
        ------
        BaseException
            What reading has raised.
        """
        if not self.is_begun:
            self.is_begun = True
            if self.current is not None:
                yield self.current
        while True:
            begin = perf_counter()
            item = self.next_item()
            self.seconds_waited += perf_counter() - begin
            if item is END:
                return
            if isinstance(item, BaseException):
                self.failed = True
                try:
                    raise item
                finally:
                    del item  # its traceback refers to this frame
            if self.current is not None:
                self.room.release()  # until now it was that of the last window
            self.current = item
            yield item

    def next_item(self):
        """What the thread puts into the queue next. Ctrl-C ends the waiting."""
        while True:
            try:
                return self.queue.get(timeout=LONGEST_WAIT)
            except Empty:
                pass

    def work(self, epoch):
        """What the thread does: put all windows into the queue, and END after each pass."""
        try:
            for number in range(epoch, self.n_epochs):
                with closing(self.read(number)) as windows:
                    while (window := self.next_window(windows)) is not END:
                        self.queue.put(window)
                self.queue.put(END)
                if self.reader.stops:
                    return
        except BaseException as error:
            self.note_reading(False)
            self.queue.put(error)

    def next_window(self, windows):
        """The next window, as soon as there is room for it; END when there is none, or reading is to stop."""
        self.room.acquire()
        self.note_reading(True)
        window = END if self.reader.stops else next(windows, END)
        self.note_reading(False)
        if window is END:
            self.room.release()
        return window

    def close(self):
        """Stop reading, and wait until the thread has ended: it ends with the block that it reads. Ctrl-C ends the
        waiting; the thread ends later then."""
        if self.is_reading:
            self.reader.stops, self.is_reading = True, False
            self.room.release()
            self.reader.close()
            self.queue = None
