"""Model files: round trips, and all that is in an estimator, to be compared bit for bit."""

import numpy as np

import fastbp
from fastbp import Network
from fastbp.schedules import SCHEDULES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = np.arange(60) % 3
POSITIVE = np.exp(0.3 * X[:, 0]) + 0.1

#: What a run sets anew when it begins
OF_A_RUN = {"_begin", "_patience", "_best", "_running", "begin"}


def round_trip(thing, folder):
    """What `load` makes of what `save` made of a thing."""
    path = folder / "model.safetensors"
    fastbp.save(thing, path)
    return fastbp.load(path)


def content(value):
    """All that is in a value, as lists, tuples, dicts, bytes and text, which are equal only if every bit is."""
    if isinstance(value, np.ndarray):
        data = value.tolist() if value.dtype == object else value.tobytes()
        return "ndarray", value.dtype.str, value.shape, data
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [content(item) for item in value]
    if isinstance(value, dict):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, np.random.RandomState):
        return content(value.get_state(legacy=False))
    if isinstance(value, np.random.Generator):
        return content(value.bit_generator.state)
    if isinstance(value, (float, np.generic)):
        return type(value).__name__, np.asarray(value).tobytes()
    if isinstance(value, Network):
        return content(value.__getstate__())
    if hasattr(value, "__getstate__") and hasattr(value, "__dict__"):
        return type(value).__name__, content(state_of(value))
    return value


def state_of(thing):
    """The attributes of an object, without those that do not outlive a run."""
    state = {"seed": None} if hasattr(thing, "seed") else {}
    state |= {k: v for k, v in thing.__getstate__().items() if k not in OF_A_RUN}
    if "_random_state" in state and state["_seed"] is None:  # that of `random_state`, or of NumPy
        del state["_random_state"], state["_seed"]
    return state


def assert_same(one, other):
    """AssertionError unless two things are equal in all that is in them."""
    assert type(one) is type(other)
    one, other = content(one), content(other)
    if one != other and isinstance(one, tuple) and isinstance(one[1], dict):
        for name in one[1].keys() | other[1].keys():
            assert one[1].get(name, "absent") == other[1].get(name, "absent"), name
    assert one == other


def assert_goes_on(model, loaded, X, y):
    """AssertionError unless both predict the same, and train on to the same model."""
    assert_same(model.predict(X), loaded.predict(X))
    schedule = SCHEDULES.get(model.learning_rate) if isinstance(model.learning_rate, str) else model.learning_rate
    if hasattr(model, "partial_fit") and not schedule.has_end:
        for _ in range(2):
            model.partial_fit(X, y)
            loaded.partial_fit(X, y)
    else:
        model.set_params(warm_start=True).fit(X, y)
        loaded.set_params(warm_start=True).fit(X, y)
    # the seconds are those of two runs
    for one in (model, loaded):
        one.history_ = {k: v for k, v in getattr(one, "history_", {}).items() if k != "seconds"}
    assert_same(model, loaded)
