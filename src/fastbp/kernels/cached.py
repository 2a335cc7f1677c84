"""Attributes that are computed once."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):
    """A property whose value is computed at its first use, and then kept in the object's ``__dict__``.

    It is `functools.cached_property` without its lock, which that has before Python 3.12: the lock is one for all
    objects, and in the child of a fork it would be locked for ever if another thread held it at that moment. Two
    threads may compute the value at the same time, which must be harmless.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function: Callable[[Any], T] = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: Any = None) -> T: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        value = self.function(instance)
        instance.__dict__[self.name] = value
        return value
