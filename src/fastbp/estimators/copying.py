"""Copies of an estimator: what `sklearn.base.clone` makes of it."""

from sklearn.base import clone


class Copying:
    """The part of an estimator that looks after its copies."""

    def __sklearn_clone__(self):
        try:
            return super().__sklearn_clone__()
        except Exception:
            callbacks = self.callbacks
            is_list = isinstance(callbacks, (list, tuple))
            for number, callback in enumerate(callbacks if is_list else [callbacks]):
                check_clone(callback, f"callbacks[{number}]" if is_list else "callbacks")
            raise


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
