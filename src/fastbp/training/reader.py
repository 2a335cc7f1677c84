"""The thread that reads rows: it makes calls, one after the other."""

import threading
from concurrent.futures import Future, wait
from queue import SimpleQueue

#: Seconds of one wait. A library may install a handler of signals that does not interrupt a wait (SA_RESTART, as polars
#: does); between two waits Python acts on Ctrl-C.
LONGEST_WAIT = 0.1


class Reader:
    """A thread that makes calls, one after the other.

    A pass over the rows stays in one thread: a generator may hold what belongs to a thread, such as the connection of a
    database or ``numpy.errstate``.

    Attributes
    ----------
    thread : Thread or None
        None before the first call.
    stops : bool
        Whether the call that the thread makes should end soon: nobody waits for its result.
    """

    thread = None

    def __init__(self):
        self.calls, self.at_end, self.error = SimpleQueue(), [], None
        self.stops = self.is_closed = False

    def start(self, function, *arguments):
        """Have the thread call a function when it is done with what came before.

        Returns
        -------
        concurrent.futures.Future
        """
        if self.thread is None:
            self.thread = threading.Thread(target=self.work, name="fastbp-reader", daemon=True)
            self.thread.start()
        result = Future()
        self.calls.put((result, function, arguments))
        return result

    def call(self, function, *arguments):
        """What a function returns or raises when the thread calls it. Ctrl-C ends the waiting."""
        result = self.start(function, *arguments)
        try:
            while not result.done():
                wait([result], LONGEST_WAIT)
        except BaseException:
            self.stops = True
            raise
        try:
            return result.result()
        finally:
            del result  # an exception that it has refers to this frame

    def until_stopped(self, blocks):
        """The items of an iterator, as long as somebody waits for the result of the call.

        Yields
        ------
        object
        """
        for block in blocks:
            if self.stops:
                return
            yield block

    def work(self):
        """What the thread does."""
        while (call := self.calls.get()) is not None:
            result, function, arguments = call
            try:
                result.set_result(function(*arguments))
            except BaseException as error:
                result.set_exception(error)
            del call, result, function, arguments  # an exception refers to them
        try:
            while self.at_end:
                self.at_end.pop()()
        except BaseException as error:
            self.error = error

    def close(self):
        """End the thread, after the call that it makes; it calls the functions in `at_end` before, and what they raise
        is raised here. Waits for that, but once only: Ctrl-C ends the waiting, and the thread ends later then."""
        if self.thread is None or self.is_closed:
            return
        self.stops = self.is_closed = True
        self.calls.put(None)
        while self.thread.is_alive():
            self.thread.join(LONGEST_WAIT)
        if self.error is not None:
            raise self.error
