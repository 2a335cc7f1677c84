"""A property that is computed once; `cached.py`."""

import threading

from fastbp.kernels.cached import cached_property


class Counted:
    count = 0

    @cached_property
    def value(self):
        """The documentation."""
        self.count += 1
        return object()


def test_computed_once_for_each_object():
    one, other = Counted(), Counted()
    assert one.value is one.value
    assert one.count == 1
    assert other.value is not one.value
    assert Counted.value.__doc__ == "The documentation."


def test_no_lock_is_held_while_the_value_is_computed():
    computing, finish = threading.Event(), threading.Event()

    class Slow:
        @cached_property
        def value(self):
            if self is first:
                computing.set()
                return finish.wait(10)
            return True

    first, other = Slow(), Slow()
    found = []
    thread = threading.Thread(target=lambda: found.append(first.value))
    thread.start()
    assert computing.wait(60)
    assert other.value  # with a lock of the class, it would come after the 10 seconds, too late for the first
    finish.set()
    thread.join()
    assert found == [True]
