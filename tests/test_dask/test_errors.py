"""What is refused, with the way out."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastbp import MLPClassifier, find_learning_rate, save
from fastbp.dask import DaskMLPClassifier, DaskMLPRegressor
from fastbp.dask.collections import aligned

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.RandomState(0).randn(40, 3)
Y = np.arange(40) % 2


def arrays(*values, chunks=10):
    return [da.from_array(v, chunks=(chunks, *[-1] * (v.ndim - 1))) for v in values]


def fit(client, X, y, *others, Estimator=DaskMLPClassifier, **params):
    model = Estimator(hidden_layer_sizes=(2,), max_iter=2, **params)
    model.client = client
    return model.fit(X, y, *others)


def test_no_client():
    with pytest.raises(ValueError, match=r"needs a Dask client.*model\.client = client.*MLPClassifier"):
        DaskMLPClassifier().fit(*arrays(X, Y))
    with pytest.raises(TypeError, match=r"must be a distributed\.Client or None"):
        DaskMLPClassifier().client = "scheduler:8786"


def test_a_client_that_is_closed(one_worker):
    client = distributed.Client(one_worker.cluster, set_as_default=False)
    model = DaskMLPClassifier()
    model.client = client
    client.close()
    with pytest.raises(ValueError, match="the client of this DaskMLPClassifier is closed: make a new one"):
        model.fit(*[da.from_array(a, chunks=5) for a in (np.zeros((10, 2)), np.arange(10))])


def test_labels_of_two_types(one_worker):
    model = DaskMLPClassifier()
    model.client = one_worker
    y = [dask.delayed(np.array)(labels) for labels in ([0, 1], ["a", "b"])]
    with pytest.raises(ValueError, match="y holds text, and held numbers in the first block"):
        model.fit([dask.delayed(np.zeros)((2, 2))] * 2, y)


def test_arrays_in_memory(one_worker):
    with pytest.raises(TypeError, match=r"X must be a Dask array.*got ndarray.*MLPClassifier, or.*from_array"):
        fit(one_worker, X, Y)
    with pytest.raises(TypeError, match=r"sample_weight must be a Dask array"):
        fit(one_worker, *arrays(X, Y), np.ones(40))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(solver="lbfgs"), r"solver='lbfgs' needs the gradient of all rows.*such as 'adam'"),
        (dict(early_stopping=True), r"holds out no rows.*X_val and y_val"),
        (dict(solver="schedule_free", outer_momentum=0.5), r"outer_learning_rate=1.0 and outer_momentum=0.0"),
        (dict(sync_every=0), r"'sync_every' parameter of DaskMLPClassifier must be"),
        (dict(outer_momentum=1.0), r"'outer_momentum' parameter of DaskMLPClassifier must be"),
        (dict(outer_learning_rate=0.0), r"'outer_learning_rate' parameter of DaskMLPClassifier must be"),
    ],
)
def test_parameters(params, message, one_worker):
    with pytest.raises(ValueError, match=message):
        fit(one_worker, *arrays(X, Y), **params)


def test_partitions_that_do_not_match(one_worker):
    with pytest.raises(ValueError, match="same number of rows, got 40 and 39"):
        fit(one_worker, *arrays(X, Y[1:]))
    with pytest.raises(ValueError, match=r"same partitions, got 2 and 4 partitions.*repartition"):
        fit(one_worker, arrays(X)[0], [dask.delayed(Y[:20]), dask.delayed(Y[20:])])
    blocks = [dask.delayed(X[:20]), dask.delayed(X[20:])], [dask.delayed(Y[:20]), dask.delayed(Y[20:-1])]
    with pytest.raises(ValueError, match="partition 1: X has 20 rows, and y has 19"):
        fit(one_worker, *blocks)
    unknown = arrays(X)[0][arrays(X)[0][:, 0] > 0]
    with pytest.raises(ValueError, match="partition 0: X has"):
        fit(one_worker, unknown, arrays(Y)[0])
    X_, others = aligned(arrays(X, chunks=13)[0].rechunk({1: 1}), {"y": arrays(Y)[0], "sample_weight": None})
    assert X_.numblocks == (4, 1)
    assert others["y"].chunks[0] == X_.chunks[0]


def test_what_is_for_one_machine(one_worker, tmp_path):
    model = fit(one_worker, *arrays(X, Y))
    with pytest.raises(TypeError, match=r"train on one machine, got DaskMLPClassifier: give estimator\.to_local\(\)"):
        find_learning_rate(model, *arrays(X, Y))
    assert find_learning_rate(DaskMLPClassifier(random_state=0).to_local(), X, Y).learning_rates.size
    with pytest.raises(TypeError, match=r"got DaskMLPClassifier.*of fastbp\.dask save estimator\.to_local\(\)"):
        save(model, tmp_path / "model.safetensors")
    with pytest.raises(TypeError, match=r"y must be a Dask array.*got ndarray"):
        model.score(arrays(X)[0], Y)
    with pytest.raises(TypeError, match=r"sample_weight must be a Dask array.*got ndarray"):
        model.score(*arrays(X, Y), np.ones(40))


def test_divisions_that_do_not_match(one_worker):
    pandas, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pandas.DataFrame(X, columns=list("abc"))
    target = pandas.Series(Y, index=frame.index + 1)
    with pytest.raises(ValueError, match=r"same partitions, got the divisions.*df\['target'\]"):
        fit(one_worker, dd.from_pandas(frame, npartitions=2), dd.from_pandas(target, npartitions=2))


def test_bad_blocks(one_worker):
    wrong = X.copy()
    wrong[25, 1] = np.nan
    with pytest.raises(ValueError, match=r"partition 2: Input X contains NaN"):
        fit(one_worker, *arrays(wrong, Y))
    wide = [dask.delayed(X[:20]), dask.delayed(np.hstack([X, X])[20:])]
    with pytest.raises(ValueError, match=r"partition 1: X has 6 features, but MLPClassifier is expecting 3"):
        fit(one_worker, wide, [dask.delayed(Y[:20]), dask.delayed(Y[20:])])
    with pytest.raises(ValueError, match=r"partition 1: .*[Nn]egative"):
        fit(one_worker, *arrays(X, Y, np.where(np.arange(40) == 15, -1.0, 1.0)))
    with pytest.raises(ValueError, match="partition 3: y must hold labels, got NaN"):
        fit(one_worker, *arrays(X, np.where(np.arange(40) == 35, np.nan, Y)))
    with pytest.raises(ValueError, match="all of its 2 partitions are empty"):
        fit(one_worker, [dask.delayed(X[:0])] * 2, [dask.delayed(Y[:0])] * 2)


def test_columns_of_labels_in_parts(one_worker):
    """Integers in one partition, and floats in the other, of which a value is not whole though no sample has it."""
    labels = np.column_stack([np.arange(9000) % 3, np.arange(9000) % 4])
    parts = [labels[:4000], labels[4000:].astype(float)]
    blocks = [dask.delayed(np.zeros((len(part), 2))) for part in parts]
    model = fit(one_worker, blocks, [dask.delayed(part) for part in parts])
    assert [classes.tolist() for classes in model.classes_] == [[0, 1, 2], [0, 1, 2, 3]]
    parts[1][1, 0] = 0.5
    with pytest.raises(ValueError, match=r"columns of whole numbers or text.*not whole in partition 1"):
        fit(one_worker, blocks, [dask.delayed(part) for part in parts])


def test_weights_of_zero(one_worker):
    """They are refused if all rows have them, and not if those of the sample do."""
    rows, labels = np.random.RandomState(0).randn(9000, 2), np.arange(9000) % 2
    weight = (np.arange(9000) % 5 == 1).astype(float)
    model = fit(one_worker, *arrays(rows, labels, weight, chunks=1000), random_state=0)
    local = MLPClassifier((2,), max_iter=2, random_state=0).fit(rows, labels, weight)
    np.testing.assert_array_equal(model.coefs_[0], local.coefs_[0])
    for others, params in (([np.zeros(9000)], {}), ([], dict(class_weight={0: 0, 1: 0}))):
        with pytest.raises(ValueError, match="sample_weight and class_weight give every row a weight of zero"):
            fit(one_worker, *arrays(rows, labels, *others, chunks=1000), **params)
    rows[3001, 0] = np.inf
    with pytest.raises(ValueError, match="partition 3: Input X contains infinity"):
        fit(one_worker, *arrays(rows, labels, np.where(weight, np.arange(9000) > 5000, 0.0), chunks=1000))
    rows[3000, 0], rows[3001, 0] = np.inf, 0.0  # in the sample
    with pytest.raises(ValueError, match="partition 3: Input X contains infinity"):
        fit(one_worker, *arrays(rows, labels, (np.arange(9000) > 5000).astype(float), chunks=1000))


def test_a_sample_does_not_hide_a_bad_row(one_worker):
    """Of more rows than the client gets."""
    large = np.random.RandomState(0).randn(9000, 2)
    target = large[:, 0].copy()
    target[7001] = np.inf
    with pytest.raises(ValueError, match=r"partition 7: Input y contains infinity"):
        fit(one_worker, *arrays(large, target, chunks=1000), Estimator=DaskMLPRegressor)


def test_a_fit_that_fails_leaves_the_model(one_worker):
    model = DaskMLPClassifier((2,), max_iter=2, random_state=0)
    model.client = one_worker
    before = model.fit(*arrays(X, Y)).coefs_[0].copy()
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.set_params(learning_rate_init=1e300).fit(*arrays(X, Y))
    np.testing.assert_array_equal(model.coefs_[0], before)


def test_a_loss_that_grows(one_worker):
    """The message is that of `fit`, from the losses of a worker."""
    params = dict(hidden_layer_sizes=(2,), max_iter=5, random_state=0, learning_rate_init=1e100)
    with pytest.warns(ConvergenceWarning) as expected:
        MLPClassifier(**params).fit(X, Y)
    model = DaskMLPClassifier(**params)
    model.client = one_worker
    with pytest.warns(ConvergenceWarning, match="The loss grew") as warned:
        model.fit(*arrays(X, Y))
    assert str(warned[0].message) == str(expected[0].message)
