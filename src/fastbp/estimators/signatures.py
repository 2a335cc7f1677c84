"""Keyword arguments that `fit` does not have: refused by a message of our own, and hidden from its signature."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastbp.estimators.weights import OWN_WEIGHTS

Method = TypeVar("Method", bound=Callable[..., Any])

INITIAL_WEIGHTS = ("coef_init", "intercept_init")


def hide_unexpected(method: Method) -> Method:
    """A method decorator: leave ``**others`` out of the signature that `inspect` and metadata routing see."""
    signature = inspect.signature(method)
    shown = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    method.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return method


def reject_unexpected(estimator: object, others: Iterable[str]) -> None:
    """TypeError for keyword arguments that `fit` does not have; for initial weights with the way to give them."""
    for name in others:
        way = f". {OWN_WEIGHTS}" if name in INITIAL_WEIGHTS else ""
        raise TypeError(f"{type(estimator).__name__}.fit() got an unexpected keyword argument {name!r}{way}")
