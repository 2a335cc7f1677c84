"""What a resumed run is to know of each callback of the saved one; described in `fastbp.training.callbacks`."""

from copy import deepcopy


def states_of(callbacks, answers):
    """The states of callbacks.

    Parameters
    ----------
    callbacks : list of object
    answers : list of bool
        Whether each has asked for the end of training; empty where none was asked yet.

    Returns
    -------
    list of dict
    """
    answers = answers or [False] * len(callbacks)
    return [
        {
            "class": class_of(callback),
            "parameters": parameters_of(callback),
            "stops": bool(stops),
            "state": deepcopy(callback.state_dict()) if is_resumable(callback) else None,
        }
        for callback, stops in zip(callbacks, answers, strict=True)
    ]


def load_states(callbacks, states):
    """Give each callback the state of the one of its class that has the same place among those of the class.

    Parameters
    ----------
    callbacks : list of object
    states : list of dict
        From `states_of`.

    Returns
    -------
    list of bool
        Whether each has asked for the end of training, and has the same parameters now.
    """
    if not isinstance(states, list):
        raise ValueError(f"resume_from: the states of the callbacks in the run are damaged: {states!r:.100}")
    by_class, answers = {}, []
    for state in states:
        is_state = isinstance(state, dict) and state.keys() == {"class", "parameters", "stops", "state"}
        if not is_state or not isinstance(state["class"], str) or not isinstance(state["stops"], bool):
            raise ValueError(f"resume_from: the state of a callback in the run is damaged: {state!r:.100}")
        by_class.setdefault(state["class"], []).append(state)
    for callback in callbacks:
        own = by_class.get(class_of(callback))
        own = own.pop(0) if own else {"parameters": None, "stops": False, "state": None}
        if own["state"] is not None and is_resumable(callback):
            load_state(callback, deepcopy(own["state"]))
        answers.append(own["stops"] and own["parameters"] == parameters_of(callback))
    return answers


def load_state(callback, state):
    """Give a callback its state; ValueError where the method cannot take it."""
    try:
        callback.load_state_dict(state)
    except (LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(
            f"resume_from: load_state_dict of the callback {callback!r} cannot take the state in the run of the "
            f"checkpoint, {state!r:.100}: {error!r}"
        ) from error


def is_resumable(callback):
    """Whether a callback has the two methods for resumed runs."""
    return all(callable(getattr(callback, name, None)) for name in ("state_dict", "load_state_dict"))


def class_of(callback):
    """The full name of the class of a callback."""
    return f"{type(callback).__module__}.{type(callback).__qualname__}"


def parameters_of(callback):
    """The parameters of a callback as text; None where it has none, as scikit-learn knows them."""
    if not callable(getattr(callback, "get_params", None)):
        return None
    return repr(sorted(callback.get_params(deep=False).items()))
