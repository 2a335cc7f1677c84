"""Which callback keeps `sklearn.base.clone` from copying an estimator."""

from sklearn.base import clone


def check_clones(callbacks):
    """TypeError if scikit-learn cannot clone one of the callbacks.

    Parameters
    ----------
    callbacks : None, object, or list or tuple of objects
        The parameter of an estimator.
    """
    is_list = isinstance(callbacks, (list, tuple))
    for number, callback in enumerate(callbacks if is_list else [callbacks]):
        check_clone(callback, f"callbacks[{number}]" if is_list else "callbacks")


def check_clone(callback, name):
    """TypeError if scikit-learn cannot clone a callback."""
    try:
        clone(callback, safe=False)
    except Exception as error:
        raise TypeError(
            f"{name} cannot be cloned: {callback!r} raises {type(error).__name__}: {error}. Let its class inherit from "
            "fastbp.Callback, whose objects are shared by all clones, or give it a method __sklearn_clone__ that "
            "returns what a clone of the estimator gets."
        ) from error
