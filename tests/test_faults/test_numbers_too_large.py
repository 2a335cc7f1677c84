"""Numbers beyond the range of a type, or of memory: an error, or the result of the largest effective value."""

import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

import warm_python
from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Values of float64 that float32 cannot hold


@pytest.mark.fault(2)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array])
def test_X_beyond_float32_in_partial_fit(container):
    X, y = make_data()
    model = MLPRegressor(**SMALL).fit(X.astype(np.float32), y)
    before = output(model, X)
    large = X.copy()
    large[2, 3] = 1e300
    with pytest.raises(ValueError, match="X holds values too large for float32"):
        model.partial_fit(container(large), y)
    assert_array_equal(output(model, X), before)
    # a prediction of float64 rows is made in float64
    assert np.isfinite(model.predict(container(large))).all()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_y_beyond_float32(method):
    X, y = make_data()
    model = MLPRegressor(**SMALL).fit(X.astype(np.float32), y)
    with pytest.raises(ValueError, match="y holds values too large for float32"):
        getattr(model, method)(X.astype(np.float32), np.where(y == 1, 1e300, y))


# Parameters beyond 64 bits


@both_estimators
@pytest.mark.parametrize("name", ["batch_size", "max_iter", "n_iter_no_change", "max_fun", "n_threads"])
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1:UserWarning")
def test_a_number_beyond_64_bits(Estimator, name):
    X, y = make_data()
    # fits that are over after few steps, whatever max_iter allows
    params = SMALL | dict(tol=10.0, n_iter_no_change=1, solver="lbfgs" if name == "max_fun" else "adam")
    huge = Estimator(**params | {name: 10**30}).fit(X, y)
    plain = Estimator(**params | {name: len(X) if name == "batch_size" else 100}).fit(X, y)
    assert_array_equal(output(huge, X), output(plain, X))


@pytest.mark.fault(17)
@both_estimators
@pytest.mark.parametrize("sizes", [(2**62, 2**62), (2**32, 2**32), (2**31, 2**33, 2**1), (2**60,)])
def test_layers_whose_product_wraps_around(Estimator, sizes):
    X, y = make_data()
    with pytest.raises(MemoryError, match=rf"hidden_layer_sizes=\({sizes[0]}, ?.*too large"):
        Estimator(**SMALL | dict(hidden_layer_sizes=sizes)).fit(X, y)


@pytest.mark.fault(17)
@both_estimators
@pytest.mark.parametrize("sizes", [((3,),), np.ones((2, 2), int), True, [3, True], [3, None], {"a": 3}])
def test_layers_of_another_kind(Estimator, sizes):
    X, y = make_data()
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        Estimator(**SMALL | dict(hidden_layer_sizes=sizes)).fit(X, y)


# No more memory

OUT_OF_MEMORY = """
    import resource, sys, warnings
    import numpy as np
    from fastbp import MLPClassifier, MLPRegressor

    def pages(column):
        return int(open("/proc/self/statm").read().split()[column]) * resource.getpagesize()

    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 50))
    y = (X[:, 0] > 0).astype(int)
    Estimator, params = {Estimator}, dict(max_iter=1, random_state=0, n_threads=1, solver="{solver}")
    small, large = dict(hidden_layer_sizes=(6,), early_stopping=False), dict(hidden_layer_sizes=(2000, 2000))
    model = Estimator(**small, **params).fit(X, y)
    before, failed = model.predict(X), 0
    # the weights are 32 MB: the limit is met where they are drawn, or later, where the optimizer or a batch is made
    for megabytes in (10, 50, 80):
        limit = pages(0) + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        for _ in range(5):
            try:
                model.set_params(**large).fit(X, y)
            except MemoryError:
                failed += 1
                assert (model.set_params(**small).predict(X) == before).all()
            else:  # there was room
                model.set_params(**small).fit(X, y)
        if megabytes == 10:
            resident = pages(1)
    assert failed >= 10, failed
    # ten fits that stayed would be 320 MB and more; the allocator may keep the 100 MB of one for later ones
    assert pages(1) - resident < 200e6, pages(1) - resident
    assert (model.fit(X, y).predict(X) == before).all()
"""


@pytest.mark.fault(19)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux only")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_a_fit_without_memory_leaves_the_model_and_nothing_else(Estimator, solver):
    script = textwrap.dedent(OUT_OF_MEMORY.replace("{Estimator}", Estimator.__name__).replace("{solver}", solver))
    process = warm_python.run(["-c", script])
    assert process.returncode == 0, process.stderr
