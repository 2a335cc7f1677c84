"""Attributes that are computed once."""


class cached_property:
    """A property whose value is computed at its first use, and then kept in the object's ``__dict__``.

    It is `functools.cached_property` without its lock, which that has before Python 3.12: the lock is one for all
    objects, and in the child of a fork it would be locked for ever if another thread held it at that moment. Two
    threads may compute the value at the same time, which must be harmless.
    """

    def __init__(self, function):
        self.function, self.__doc__ = function, function.__doc__

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        value = self.function(instance)
        instance.__dict__[self.name] = value
        return value
