"""Sequences of calls of an estimator, and what may come of each: a clear error, or a finite model.

`Finding` is raised for anything else: another kind of error, an error without a clear message, an unexpected warning,
weights or predictions that are not finite without a word, inputs that changed, a model that a failed call changed.
"""

import contextlib
import copy
import io
import pickle
import re
import warnings
from collections import Counter
from unittest import mock

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import fastbp.threads
from fastbp import MLPClassifier
from fuzz_data import matrices, targets, weights
from fuzz_parameters import SMALL, made, parameters

ERRORS = (ValueError, TypeError, InvalidParameterError, NotFittedError, MemoryError)
#: Messages of Python and NumPy that tell about the code, and not about the argument that is wrong
INTERNAL = re.compile(
    r"out of range|out of bounds|unpack|not subscriptable|has no attribute|unsupported operand|broadcast"
    r"|NoneType|not iterable|setting an array element|only length-1|0-dimensional arrays|truth value"
    r"|cannot be interpreted as|must be real number|cannot convert float|Buffer |math domain|not callable"
    r"|takes \d+ positional|unexpected keyword|missing \d+ required|unhashable|not supported between"
    r"|invalid literal|slice indices|could not convert string|^$|^[\d\W]*$|has no len|zero-size array|ufunc"
    r"|unsized|0-d array|ambiguous|at least one array or dtype"
    r"|can't (convert|multiply|compare|assign)|bad operand|maximum recursion"
)
#: Warnings of NumPy, which say only where a number was lost
OF_NUMPY = re.compile(r"encountered in|empty slice|[Dd]egrees of freedom")
#: A model's own words for predictions or losses that are not finite
NOT_FINITE = re.compile(r"not finite|not a number|too large a number|diverged|grew from|infinity|overflow")


class Finding(AssertionError):
    """What must not happen."""


def fingerprint(value):
    """What tells whether an argument was changed."""
    if isinstance(value, np.ndarray):
        content = value.tolist() if value.dtype.hasobject else value.tobytes()
        return value.dtype.str, value.shape, value.strides, value.flags.writeable, repr(content)
    if sp.issparse(value):
        arrays = [getattr(value, name, None) for name in ("data", "indices", "indptr", "row", "col", "offsets", "rows")]
        found = [fingerprint(a) for a in arrays if isinstance(a, np.ndarray)]
        return value.format, value.shape, found or repr(value.toarray())
    if hasattr(value, "to_numpy"):
        return fingerprint(np.array(value.to_numpy())), str(getattr(value, "dtypes", None)), list(value.index)
    return repr(value)


class Subject:
    """An estimator under test, with counts of what its calls came to.

    Parameters
    ----------
    Estimator : type
    params : dict
        Recipes, as `made` takes them.
    tally : Counter
    """

    def __init__(self, Estimator, params, tally):
        self.tally = tally
        self.estimator = None
        self.width = 0
        self.is_classifier = Estimator is MLPClassifier
        self.call("construct", lambda: setattr(self, "estimator", Estimator(**SMALL | made(params))))

    def call(self, name, function, *inputs, may_lack=False):
        """(whether it succeeded, what it returned, warnings), of a call whose outcome is checked."""
        before = [fingerprint(x) for x in inputs]
        output = io.StringIO()
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            warnings.simplefilter("always")
            try:
                value, error = function(), None
            except Finding:
                raise
            except Exception as e:
                value, error = None, e
        if [fingerprint(x) for x in inputs] != before:
            raise Finding(f"{name} changed its input")
        for warning in caught:
            self.check_warning(name, warning)
        if error is not None:
            self.check_error(name, error, may_lack)
            self.tally[f"{name}: {type(error).__name__}"] += 1
            return False, error, caught
        self.tally[f"{name}: success"] += 1
        return True, value, caught

    def check_warning(self, name, warning):
        """Finding for a warning that is none of ours."""
        text, category = str(warning.message), warning.category
        known = issubclass(category, (UserWarning, RuntimeWarning)) and not text.isspace()
        if not known or (issubclass(category, RuntimeWarning) and OF_NUMPY.search(text)):
            raise Finding(f"{name} warned: {category.__name__}: {text} ({warning.filename}:{warning.lineno})")

    def check_error(self, name, error, may_lack):
        """Finding for an error that is none of ours, or says nothing to the user."""
        text = str(error)
        # a scorer of scikit-learn names the methods that it needs
        lacks = type(error) is AttributeError and (may_lack or "has none of the following attributes" in text)
        if not (type(error) in ERRORS or lacks):
            raise Finding(f"{name} raised {type(error).__name__}: {text}") from error
        if not lacks and INTERNAL.search(text):
            raise Finding(f"{name} raised an unclear {type(error).__name__}: {text}") from error

    # What a model must be

    def outputs(self, X):
        """The predictions as one array; probabilities of a classifier."""
        model = self.estimator
        found = model.predict_proba(X) if self.is_classifier else model.predict(X)
        return np.hstack(found) if isinstance(found, list) else found

    def probe(self):
        """The model's predictions as bytes, or the error that it raises; None without a model."""
        if not hasattr(self.estimator, "coefs_"):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outputs = self.outputs(np.random.default_rng(7).normal(size=(4, self.width)))
            except Exception as error:
                return type(error).__name__, str(error)
        return outputs.dtype.str, outputs.tobytes()

    def train(self, name, function, *inputs, may_lack=False):
        """A call that trains: on success the model is finite, and after a failure it is as it was."""
        before = self.probe()
        succeeded, _, caught = self.call(name, function, *inputs, may_lack=may_lack)
        if succeeded:
            self.width = self.estimator.n_features_in_
            self.check_finite(name, caught)
        elif self.probe() != before:
            raise Finding(f"{name} failed and changed the model")

    def check_finite(self, name, caught):
        """Finding for weights that are not finite, and for losses that are not, without a warning."""
        model = self.estimator
        for weight in [*model.coefs_, *model.intercepts_, model.network_.params]:
            if not np.isfinite(weight).all():
                raise Finding(f"{name} left weights that are not finite")
        explained = any(NOT_FINITE.search(str(w.message)) for w in caught)
        if not np.isfinite(model.loss_) and not explained:
            raise Finding(f"{name} left loss_={model.loss_} without a warning")

    def predict(self, name, X):
        """A call of a method that predicts: its numbers are finite, or a warning says why not."""
        may_lack = not hasattr(self.estimator, name)
        succeeded, found, caught = self.call(name, lambda: getattr(self.estimator, name)(X), X, may_lack=may_lack)
        if not succeeded:
            return
        explained = any(NOT_FINITE.search(str(w.message)) for w in caught)
        for part in found if isinstance(found, list) else [found]:
            if part.shape[0] != n_rows(X):
                raise Finding(f"{name} returned {part.shape[0]} rows for {n_rows(X)}")
            if name == "predict_log_proba":  # the logarithm of 0, where a sum overflows
                part = np.where(np.isneginf(part), 0, part)
            if part.dtype.kind == "f" and not np.isfinite(part).all() and not explained:
                raise Finding(f"{name} returned numbers that are not finite: {part[~np.isfinite(part)][:3]}")
            if name == "predict_proba" and not ((part >= 0) & (part <= 1)).all():
                raise Finding(f"{name} returned probabilities outside of [0, 1]")


def n_rows(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


# The calls: each a strategy of its arguments, and a function that makes it


def made_data(*recipes):
    """Arrays from recipes; None stays None."""
    return [None if recipe is None else recipe.made() for recipe in recipes]


@st.composite
def rows(draw, is_classifier, n_columns=None, tame=False):
    """(X, y, sample_weight) as recipes."""
    X = draw(matrices(n_columns, tame))
    n = X.shape[0] if X.shape else 0
    return X, draw(targets(is_classifier, n, tame)), draw(weights(n, tame))


def fit(subject, data, validation=None):
    X, y, weight = made_data(*data)
    given = (
        {}
        if validation is None
        else dict(zip(("X_val", "y_val", "sample_weight_val"), made_data(*validation), strict=True))
    )
    subject.train("fit", lambda: subject.estimator.fit(X, y, weight, **given), X, y, weight, *given.values())


def partial_fit(subject, data, classes):
    X, y, weight = made_data(*data)
    arguments = {"classes": classes} if subject.is_classifier else {}
    may_lack = not hasattr(subject.estimator, "partial_fit")
    subject.train(
        "partial_fit",
        lambda: subject.estimator.partial_fit(X, y, weight, **arguments),
        X,
        y,
        weight,
        may_lack=may_lack,
    )


def predict(subject, X, name):
    subject.predict(name, X.made())


def score(subject, data):
    X, y, weight = made_data(*data)
    succeeded, value, caught = subject.call("score", lambda: subject.estimator.score(X, y, weight), X, y, weight)
    if succeeded and not np.isfinite(value) and not caught:
        raise Finding(f"score returned {value} without a warning")


def set_params(subject, params, warm_start):
    def change():
        subject.estimator.set_params(**made(params), warm_start=warm_start)

    subject.call("set_params", change)


def round_trip(subject, how):
    """A copy of the estimator takes its place; it predicts the same."""
    before = subject.probe()
    copies = {"pickle": lambda e: pickle.loads(pickle.dumps(e)), "deepcopy": copy.deepcopy}
    succeeded, other, _ = subject.call(how, lambda: copies[how](subject.estimator))
    if succeeded:
        subject.estimator = other
        if subject.probe() != before:
            raise Finding(f"{how} changed the predictions")


def cloned(subject):
    succeeded, other, _ = subject.call("clone", lambda: clone(subject.estimator))
    if succeeded and hasattr(other, "coefs_"):
        raise Finding("a clone is fitted")


EDITS = {
    "in place": lambda coefs: coefs[0].__imul__(0.5),
    "nan in place": lambda coefs: coefs[0].fill(np.nan),
    "assign": lambda coefs: coefs.__setitem__(0, coefs[0] * 0.5),
    "float32": lambda coefs: coefs.__setitem__(0, coefs[0].astype(np.float32)),
    "integers": lambda coefs: coefs.__setitem__(0, np.ones(coefs[0].shape, int)),
    "list": lambda coefs: coefs.__setitem__(0, coefs[0].tolist()),
    "fortran": lambda coefs: coefs.__setitem__(0, np.asfortranarray(coefs[0])),
    "transposed": lambda coefs: coefs.__setitem__(0, coefs[0].T),
    "wider": lambda coefs: coefs.__setitem__(0, np.ones((coefs[0].shape[0], coefs[0].shape[1] + 1))),
    "flat": lambda coefs: coefs.__setitem__(0, coefs[0].ravel()),
    "text": lambda coefs: coefs.__setitem__(0, "weights"),
    "none": lambda coefs: coefs.__setitem__(0, None),
    "complex": lambda coefs: coefs.__setitem__(0, coefs[0] * 1j),
    "append": lambda coefs: coefs.append(np.ones((2, 2))),
    "clear": lambda coefs: coefs.clear(),
}


def edit(subject, how):
    """Change the weights, and look at the outcome through all that uses them."""
    model = subject.estimator
    if not hasattr(model, "coefs_") or not model.coefs_:
        return
    if not all(isinstance(w, np.ndarray) and w.ndim == 2 and w.dtype.kind == "f" for w in model.coefs_):
        return
    EDITS[how](model.coefs_)
    X = np.ones((2, subject.width))
    for name in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, name):
            subject.predict(name, X)


def look(subject):
    """The attributes that compute something."""
    for name in ("network_", "raw_params_"):
        subject.call(name, lambda name=name: getattr(subject.estimator, name))
    subject.call("repr", lambda: repr(subject.estimator))


CLASSES = [None, [0, 1], [0, 1, 2], [0, 1, 2], ["a", "bb", "c"], [0, 1, 2, 3], [False, True], [[0, 1, 2, 3]] * 2]
BAD_CLASSES = [[], [0], [0, 0], [0, np.nan], ["a", 1], "ab", 3, [[0]], [None], np.zeros((2, 2))]


METHODS = ("predict", "predict_proba", "predict_log_proba")


class Drawing:
    """Draws the arguments of calls for one estimator, most of them such that the call succeeds.

    Parameters
    ----------
    draw : callable
    Estimator : type
    """

    def __init__(self, draw, Estimator):
        self.draw, self.Estimator, self.is_classifier = draw, Estimator, Estimator is MLPClassifier
        self.n_columns = None
        self.kind = None

    def is_tame(self):
        return self.draw(st.integers(0, 3)) > 0

    def width(self):
        """The number of columns of the first data, rarely another one."""
        return self.draw(st.sampled_from([self.n_columns] * 8 + [None]))

    def rows(self):
        """X, y and sample weights; most targets are of the same kind as the first."""
        X, y, weight = self.draw(rows(self.is_classifier, self.width(), self.is_tame()))
        if self.kind is not None and self.draw(st.integers(0, 3)) > 0:
            y.table, y.kind = self.kind
        if self.n_columns is None:
            self.n_columns = X.shape[1] if len(X.shape) > 1 else 3
            self.kind = y.table, y.kind
        return X, y, weight

    def classes(self):
        """The argument of the first partial_fit: right for most targets."""
        if self.draw(st.integers(0, 9)) == 0:
            return self.draw(st.sampled_from(BAD_CLASSES))
        return self.draw(st.sampled_from(CLASSES))

    def parameters(self, max_size):
        return self.draw(parameters(self.Estimator, max_size, self.is_tame()))

    def arguments(self, function):
        """Of a call."""
        draw = self.draw
        if function is fit:
            return self.rows(), self.rows() if draw(st.integers(0, 3)) == 0 else None
        if function is partial_fit:
            return self.rows(), self.classes()
        if function is predict:
            return draw(matrices(self.width(), self.is_tame())), draw(st.sampled_from(METHODS))
        if function is score:
            return (self.rows(),)
        if function is set_params:
            return self.parameters(2), draw(st.booleans())
        if function is round_trip:
            return (draw(st.sampled_from(["pickle", "deepcopy"])),)
        if function is edit:
            return (draw(st.sampled_from(list(EDITS))),)
        return ()


@st.composite
def stories(draw, Estimator):
    """(parameters, calls, whether small steps are shared among threads): the life of an estimator."""
    drawing = Drawing(draw, Estimator)
    params = drawing.parameters(4)
    first = draw(st.sampled_from([fit, fit, fit, partial_fit, predict]))
    then = st.sampled_from([fit, partial_fit, partial_fit, predict, score, set_params, round_trip, cloned, edit, look])
    functions = [first, predict, *draw(st.lists(then, max_size=4))]
    steps = [(function, drawing.arguments(function)) for function in functions]
    return params, steps, draw(st.integers(0, 7)) == 7


def run(Estimator, story, tally=None):
    """Make an estimator and the calls of a story.

    Parameters
    ----------
    Estimator : type
    story : (dict, list, bool)
        As `stories` draws it.
    tally : Counter or None
        Counts what the calls came to.
    """
    params, steps, shares = story
    subject = Subject(Estimator, params, Counter() if tally is None else tally)
    if subject.estimator is None:
        return
    flops = 1 if shares else fastbp.threads.FLOPS_PER_THREAD
    with mock.patch.object(fastbp.threads, "FLOPS_PER_THREAD", flops):
        for function, arguments in steps:
            function(subject, *arguments)
