"""Sparse matrices with indices out of range are refused by every function before the indices are used."""

import numpy as np
import pytest
import scipy.sparse as sp

import warm_python
from fastbp import Network
from fastbp.data import check_sparse, checked_csr, indicator_csr, make_data
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.plan import Plan
from fastbp.kernels.predictor import Predictor
from fastbp.kernels.program import DERIVATIVES, INSPECTION, PREDICTION, TRAINING

FAR = 10**8
NO_WARNINGS = "import warnings; warnings.simplefilter('ignore')\n"
FORMATS = ("csr", "csc", "bsr", "coo", "dia", "lil", "dok")


def matrix(form, kind="array"):
    X = np.zeros((6, 4))
    X[[0, 1, 3, 5, 5], [1, 0, 3, 2, 3]] = [1.0, 2.0, 3.0, 4.0, 5.0]
    return getattr(sp, f"{form}_{kind}")(X)


def set_at(name, place, value):
    """A change of one element of an array that a matrix holds."""

    def damage(X):
        getattr(X, name)[place] = value

    return damage


def put(name, change):
    """Another array in the place of one that a matrix holds."""

    def damage(X):
        setattr(X, name, change(getattr(X, name)))

    return damage


def damage_coo(axis, value):
    def damage(X):
        (X.row, X.col)[axis][2] = value

    return damage


def damage_dok(X):
    X._dict[(FAR, 0)] = 1.0


def damage_dok_key(X):
    X._dict[("a", 0)] = 1.0


COMPRESSED = {
    "index above": (set_at("indices", 2, FAR), "indices"),
    "index below": (set_at("indices", 2, -1), "indices"),
    "start above": (set_at("indptr", 2, FAR), "indptr"),
    "start below": (set_at("indptr", 1, -5), "indptr"),
    "first start": (set_at("indptr", 0, 1), "indptr"),
    "end above": (set_at("indptr", -1, FAR), "indptr"),
    "starts too few": (put("indptr", lambda a: a[:-1]), "indptr"),
    "no starts": (put("indptr", lambda a: a[:0]), "indptr"),
    "indices too few": (put("indices", lambda a: a[:1]), "indptr"),
    "values too few": (put("data", lambda a: a[:1]), "indptr"),
    "indices of float": (put("indices", lambda a: a + 0.0), "indices"),
    "starts of float": (put("indptr", lambda a: a + 0.0), "indptr"),
    "indices in two dimensions": (put("indices", lambda a: a[:, None]), "indices"),
    "starts in two dimensions": (put("indptr", lambda a: a[None]), "indptr"),
    "indices in a list": (put("indices", lambda a: a.tolist()), "indices"),
    "unsigned beyond int64": (put("indices", lambda a: a.astype(np.uint64) + np.uint64(2**63)), "indices"),
}
BAD = {(form, what): case for form in ("csr", "csc", "bsr") for what, case in COMPRESSED.items()}
BAD |= {
    ("csr", "values in two dimensions"): (put("data", lambda a: a[:, None]), "data"),
    ("bsr", "blocks of no size"): (put("data", lambda a: a[:, :, :0]), "data"),
    ("bsr", "blocks that do not divide"): (put("data", lambda a: np.zeros((len(a), 4, 1))), "data"),
    ("coo", "row above"): (damage_coo(0, FAR), r"\.row must"),
    ("coo", "column above"): (damage_coo(1, FAR), r"\.col must"),
    ("coo", "column below"): (damage_coo(1, -1), r"\.col must"),
    ("coo", "columns too few"): (put("coords", lambda c: (c[0], c[1][:1])), r"\.col must"),
    ("coo", "rows of float"): (put("coords", lambda c: (c[0] + 0.5, c[1])), r"\.row must"),
    ("dia", "offset above"): (set_at("offsets", 0, FAR), "offsets"),
    ("dia", "offset below"): (set_at("offsets", 0, -FAR), "offsets"),
    ("dia", "offsets too few"): (put("offsets", lambda a: a[:1]), "offsets"),
    ("dia", "offsets of float"): (put("offsets", lambda a: a + 0.0), "offsets"),
    ("lil", "column above"): (lambda X: X.rows[3].__setitem__(0, FAR), "rows"),
    ("lil", "column below"): (lambda X: X.rows[3].__setitem__(0, -1), "rows"),
    ("lil", "no number"): (lambda X: X.rows[3].__setitem__(0, "a"), "rows"),
    ("lil", "more columns than values"): (lambda X: X.rows[3].append(1), "rows"),
    ("lil", "rows too few"): (put("rows", lambda a: a[:2]), "rows"),
    ("dok", "row above"): (damage_dok, "row numbers"),
    ("dok", "no number"): (damage_dok_key, "row numbers"),
}  # fmt: skip


@pytest.mark.fault(44)
@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize(("form", "what"), BAD, ids=[" ".join(key) for key in BAD])
def test_what_does_not_fit_is_named(form, what, kind):
    X = matrix(form, kind)
    check_sparse("X", X)
    damage, named = BAD[form, what]
    damage(X)
    with pytest.raises(ValueError, match=named) as caught:
        check_sparse("X", X)
    assert "X" in str(caught.value)


@pytest.mark.fault(44)
@pytest.mark.parametrize(("form", "what"), [key for key in BAD if key[0] == "csr"], ids=lambda key: key)
def test_the_copy_is_checked_too(form, what):
    # make_data does not look at CSR before it copies
    X = matrix(form)
    BAD[form, what][0](X)
    with pytest.raises(ValueError, match=BAD[form, what][1]):
        make_data(X, None, None, 1, np.dtype(float))


@pytest.mark.fault(45)
@pytest.mark.parametrize("form", FORMATS)
def test_a_checked_copy_cannot_be_written_to_by_others(form):
    X = matrix(form)
    copy = checked_csr("X", X)
    np.testing.assert_array_equal(copy.toarray(), matrix(form).toarray())
    if form in ("csr", "csc"):
        assert not np.shares_memory(copy.indices, X.indices)
        assert not np.shares_memory(copy.indptr, X.indptr)


def test_more_entries_than_the_last_row_ends_with():
    # SciPy allows room at the end; what is there is never read
    X = matrix("csr")
    X.indices = np.append(X.indices, [FAR]).astype(np.int32)
    X.data = np.append(X.data, [9.0])
    check_sparse("X", X)
    data = make_data(X, None, None, 1, np.dtype(float))
    assert len(data.indices) == 5
    np.testing.assert_array_equal(checked_csr("X", X).toarray(), matrix("csr").toarray())


@pytest.mark.parametrize("width", [np.int8, np.uint16, np.int32, np.uint32, np.int64])
def test_widths_of_indices(width):
    X = matrix("csr")
    X.indices, X.indptr = X.indices.astype(width), X.indptr.astype(width)
    data = make_data(X, None, None, 1, np.dtype(float))
    np.testing.assert_array_equal(data.indices, X.indices)
    assert (data.indices.dtype, data.indptr.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("form", [*FORMATS, "dense"])
def test_where_an_indicator_matrix_has_its_ones(form):
    Y = (np.random.default_rng(0).random((50, 7)) < 0.3).astype(np.int8)
    Y[3], Y[:, 2] = 0, 0
    given = Y if form == "dense" else getattr(sp, f"{form}_array")(Y)
    found = indicator_csr(given)
    np.testing.assert_array_equal(found.toarray(), Y)
    assert found.nnz == Y.sum()


def test_explicit_zeros_and_duplicates_of_an_indicator_matrix():
    parts = [1, 0, 1, 2, -2], ([0, 0, 1, 2, 2], [1, 2, 0, 1, 1])
    Y = sp.coo_array(parts, shape=(3, 3))
    rows = sp.csr_array((Y.data, Y.coords[1].astype(np.int32), np.array([0, 2, 3, 5], np.int32)), shape=(3, 3))
    for form in (Y, rows):
        found = indicator_csr(form)
        np.testing.assert_array_equal(found.toarray(), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
        assert found.nnz == 2


# All functions that take a sparse matrix, in another process, because a wrong index may crash it

FUNCTIONS = """
import sys
import numpy as np
import scipy.sparse as sp
from fastbp import MLPClassifier, MLPRegressor, Network, fit_many, hidden_activations
from fastbp.inspection import backprop_trace, gradient_check

rng = np.random.default_rng(0)
n = 60
dense = rng.integers(0, 2, size=(n, 4)) * rng.normal(size=(n, 4))
dense[0] = 1
labels, values, multi = np.arange(n) % 3, dense[:, 0], (rng.random((n, 3)) < 0.5).astype(int)
kept = dict(hidden_layer_sizes=(5,), max_iter=2, random_state=0, tol=1e9, n_iter_no_change=1)


def bad(kind):
    form, what = kind.split()
    X = getattr(sp, form)(dense)
    spoil(X, what)
    return X


def spoil(X, what):
    if what == "index" and X.format == "coo":
        X.coords[1][3] = 10**8
    elif what == "index" and X.format == "lil":
        X.rows[3][0] = 10**8
    elif what == "index":
        X.indices[3] = 10**8
    else:
        X.indptr[3] = 10**8


fitted = {
    "classifier": MLPClassifier(**kept).fit(dense, labels),
    "regressor": MLPRegressor(**kept).fit(dense, values),
    "multilabel": MLPClassifier(**kept).fit(dense, multi),
}
network = Network([4, 5, 3], "tanh", "softmax", "log_loss", random_state=0)
entrances = {
    "forward": network.forward,
    "loss_and_gradient": lambda X: network.loss_and_gradient(X, labels),
    "vjp": lambda X: network.vjp(X, np.ones((n, 3))),
    "jvp": lambda X: network.jvp(X, np.ones((n, 4))),
    "jacobian": network.jacobian,
    "backward": lambda X: network.backward(X, np.ones((n, 3))),
    "input_gradient": lambda X: network.input_gradient(X, labels),
    "hvp": lambda X: network.hvp(X, labels, network.params),
    "backprop_trace": lambda X: backprop_trace(network, X, labels),
    "gradient_check": lambda X: gradient_check(network, X, labels),
    "normalize_preactivations": network.normalize_preactivations,
    "fit_many": lambda X: fit_many([MLPClassifier(**kept)], X, labels),
}
for name, y in (("classifier", labels), ("regressor", values), ("multilabel", multi)):
    model = fitted[name]
    entrances[f"{name} hidden_activations"] = lambda X, model=model: hidden_activations(model, X)
    for solver in ("adam", "lbfgs"):
        new = type(model)(**kept, solver=solver)
        entrances[f"{name} fit {solver}"] = lambda X, new=new, y=y: new.fit(X, y)
    early = type(model)(**kept, early_stopping=True)
    entrances[f"{name} fit early"] = lambda X, early=early, y=y: early.fit(X, y)
    entrances[f"{name} partial_fit"] = lambda X, model=model, y=y: model.partial_fit(X, y)
    entrances[f"{name} score"] = lambda X, model=model, y=y: model.score(X, y)
    entrances[f"{name} trace"] = lambda X, model=model, y=y: backprop_trace(model, X, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            entrances[f"{name} {method}"] = getattr(model, method)


def bad_y(kind):
    Y = getattr(sp, kind.split()[0])(multi)
    spoil(Y, kind.split()[1])
    return Y


logistic = Network([4, 5, 3], "tanh", "logistic", "log_loss", random_state=0)
model = fitted["multilabel"]
y_entrances = {
    "y fit": lambda y: MLPClassifier(**kept).fit(dense, y),
    "y partial_fit": lambda y: model.partial_fit(dense, y),
    "y first partial_fit": lambda y: MLPClassifier(**kept).partial_fit(dense, y, classes=[0, 1, 2]),
    "y score": lambda y: model.score(dense, y),
    "y trace": lambda y: backprop_trace(model, dense, y),
    "y loss_and_gradient": lambda y: logistic.loss_and_gradient(dense, y),
    "y hvp": lambda y: logistic.hvp(dense, y, logistic.params),
    "y input_gradient": lambda y: logistic.input_gradient(dense, y),
}
wrong = 0
kinds = [f"{form} {what}" for form in ("csr_matrix", "csc_array", "bsr_array") for what in ("index", "indptr")]
kinds += ["coo_array index", "lil_array index"]
for table, make, argument in ((entrances, bad, "X"), (y_entrances, bad_y, "y")):
    for name, call in table.items():
        for kind in kinds:
            try:
                call(make(kind))
            except ValueError as error:
                if f"{argument}." in str(error):
                    continue
                print(name, kind, error)
            print("no error that names it:", name, kind)
            wrong += 1
print("done", wrong)
"""


@pytest.mark.fault(44)
def test_every_entrance():
    process = warm_python.run(["-c", NO_WARNINGS + FUNCTIONS])
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.endswith("done 0\n"), process.stdout


# What was checked once cannot be changed afterwards

WHILE_IT_RUNS = """
import sys
import numpy as np
import scipy.sparse as sp
from fastbp import MLPClassifier, Network
from fastbp import data
from fastbp.estimators import validation

rng = np.random.default_rng(0)
dense = rng.integers(0, 2, size=(60, 4)) * rng.normal(size=(60, 4))
labels, multi = np.arange(60) % 3, sp.csr_array((rng.random((60, 3)) < 0.5).astype(int))


class Spoil:
    def __init__(self, *arrays):
        self.arrays = arrays

    def on_fit_begin(self, state):
        for array in self.arrays:
            array[:] = 10**8
        if state.train_rows is not None:
            state.train_rows[:] = 10**8

    on_epoch_end = on_fit_begin


def fit(X, y, *arrays, **changes):
    model = MLPClassifier((5,), random_state=0, max_iter=5, callbacks=Spoil(*arrays), **changes)
    return model.fit(X, y).coefs_[0]


for changes in ({}, {"solver": "lbfgs"}, {"early_stopping": True}, {"shuffle": False, "solver": "sgd"}):
    for form in (sp.csr_matrix, sp.csc_array):
        for y in (labels, multi):
            X, y, plain = form(dense), y.copy(), fit(form(dense), y, **changes)
            arrays = [X.indices, X.indptr] + ([y] if y is labels else [])
            assert np.array_equal(fit(X, y, *arrays, **changes), plain), (changes, form)
    y = multi.copy()
    assert np.array_equal(fit(dense, y, y.indices, y.indptr, **changes), fit(dense, multi, **changes)), changes


def spoils_targets(state):
    state.targets[:] = 10**7


class SpoilTargets:
    on_fit_begin = staticmethod(spoils_targets)


try:
    MLPClassifier((5,), max_iter=3, callbacks=SpoilTargets()).fit(dense, labels)
except ValueError as error:
    assert "read-only" in str(error), error
else:
    raise AssertionError("state.targets can be written to")

# X changes after it was checked, and before early stopping holds out some of its rows
split_rows = validation.split_rows
for form in (sp.csr_matrix, sp.csc_array):
    for name in ("indices", "indptr"):
        X = form(dense)

        def spoils_X(*arguments, array=getattr(X, name)):
            array[1:-1] = 10**8
            return split_rows(*arguments)

        validation.split_rows = spoils_X
        try:
            MLPClassifier((5,), early_stopping=True).fit(X, labels)
        except ValueError as error:
            assert f"X.{name}" in str(error), error
        else:
            raise AssertionError("the indices are followed")
validation.split_rows = split_rows

# other formats change after they were checked, and before SciPy converts them: what it converts is a checked copy
check_sparse = data.check_sparse
for form, name in ((sp.coo_matrix, "row"), (sp.coo_array, "col"), (sp.bsr_array, "indices")):
    expected = MLPClassifier((5,), max_iter=2, random_state=0).fit(form(dense), labels)
    for number in (1, 2):
        X, n_checks = form(dense), 0

        def spoils_X(*arguments):
            global n_checks
            check_sparse(*arguments)
            n_checks += 1
            if n_checks == number:
                getattr(X, name)[1:-1] = 10**8

        data.check_sparse = spoils_X
        try:
            model = MLPClassifier((5,), max_iter=2, random_state=0).fit(X, labels)
        except ValueError:  # the copy has them too
            assert number == 1, form
        else:
            assert number == 2, form
            assert (model.coefs_[0] == expected.coefs_[0]).all()
        data.check_sparse = check_sparse

# a loss that changes X between two slices of a derivative
X = sp.csr_array(np.tile(dense, (20, 1)))


def loss(y_true, raw, sample_weight):
    X.indices[:] = 10**8
    return (raw**2).sum(1), 2 * raw


network = Network([4, 5, 1], loss=loss, random_state=0)
y = np.zeros(X.shape[0])
expected = network.input_gradient(X.toarray(), y)
X.indices[:] = sp.csr_array(np.tile(dense, (20, 1))).indices
assert np.array_equal(network.input_gradient(X, y), expected)
print("done")
"""


@pytest.mark.fault(45)
def test_arrays_changed_while_it_runs():
    process = warm_python.run(["-c", NO_WARNINGS + WHILE_IT_RUNS])
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout == "done\n"


@pytest.mark.parametrize("purpose", [TRAINING, PREDICTION, DERIVATIVES, INSPECTION])
def test_a_program_cannot_be_written_to(purpose):
    program = Network([4, 5, 1], random_state=0).program(purpose)
    for table in (program.nodes, program.blocks, program.operations):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = FAR
        with pytest.raises(ValueError, match="WRITEABLE"):
            table.flags.writeable = True


def test_parameters_of_another_network():
    network, X, y = Network([4, 5, 1], random_state=0), np.ones((3, 4)), np.ones((3, 1))
    params = network.params[:-1].copy()
    data = make_data(X, y, None, 1, np.float64)
    with pytest.raises(ValueError, match=r"params must be float64 of shape \(31,\)"):
        Predictor(network.program(PREDICTION), params)
    with pytest.raises(ValueError, match=r"params must be float64 of shape \(31,\)"):
        Plan(network.program(TRAINING), params, "squared_error", data, 3)
    with pytest.raises(ValueError, match=r"params must be float64 of shape \(31,\)"):
        Linearization(network.program(DERIVATIVES), params, params, data)


def test_data_of_another_network():
    network = Network([4, 5, 1], random_state=0)
    data = make_data(np.ones((3, 5)), np.ones((3, 1)), None, 1, np.float64)
    with pytest.raises(ValueError, match="5 features"):
        Predictor(network.program(PREDICTION), network.params)(data, np.empty((3, 1)))
    with pytest.raises(ValueError, match="5 features"):
        Plan(network.program(TRAINING), network.params, "squared_error", data, 3)
    program = network.program(DERIVATIVES)
    with pytest.raises(ValueError, match="4 features"):
        Linearization(program, network.params, mirrors_of(program, network.params), data)
