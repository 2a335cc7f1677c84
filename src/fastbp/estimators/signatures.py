"""Arguments that `fit` does not have, and users of old answers in forums pass all the same."""

import inspect

from fastbp.estimators.weights import OWN_WEIGHTS

INITIAL_WEIGHTS = ("coef_init", "intercept_init")


def hides_others(method):
    """A decorator: what `inspect` and metadata routing see of a method's signature is without its ``**others``."""
    signature = inspect.signature(method)
    shown = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    method.__signature__ = signature.replace(parameters=shown)
    return method


def refuse_others(estimator, others):
    """TypeError for keyword arguments that `fit` does not have; for initial weights with the way to give them."""
    for name in others:
        way = f". {OWN_WEIGHTS}" if name in INITIAL_WEIGHTS else ""
        raise TypeError(f"{type(estimator).__name__}.fit() got an unexpected keyword argument {name!r}{way}")
