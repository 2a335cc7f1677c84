"""Requests of metadata, which ``set_fit_request`` and its kind have made, to JSON and back."""

from sklearn import config_context

#: Where scikit-learn keeps them
ATTRIBUTE = "_metadata_request"


def encoded_requests(estimator):
    """The part of the JSON with the requests, ``{"requests": {method: {argument: True, False or name}}}``; or nothing.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or MLPEncoder

    Returns
    -------
    dict
    """
    requests = vars(estimator).get(ATTRIBUTE)
    if requests is None:
        return {}
    methods = [name.removeprefix("set_").removesuffix("_request") for name in dir(type(estimator)) if is_setter(name)]
    found = {method: getattr(requests, method).requests for method in methods}
    # None is what is there without a request
    found = {method: {k: v for k, v in values.items() if v is not None} for method, values in found.items()}
    return {"requests": {method: values for method, values in found.items() if values}}


def set_requests(estimator, content, place):
    """Make the requests that `encoded_requests` described.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or MLPEncoder
    content : dict
    place : str

    Raises
    ------
    ValueError, TypeError
        For methods, arguments or names that there are not.
    """
    if not isinstance(content, dict) or not all(isinstance(values, dict) for values in content.values()):
        raise ValueError(f"{place} must be a dict of dicts")
    with config_context(enable_metadata_routing=True):
        for method, values in content.items():
            setter = f"set_{method}_request"
            if not hasattr(type(estimator), setter):
                raise ValueError(f"{place} names a method {method!r}, which takes no metadata")
            getattr(estimator, setter)(**values)


def is_setter(name):
    """Whether an attribute has the name of a method that makes requests."""
    return name.startswith("set_") and name.endswith("_request")
