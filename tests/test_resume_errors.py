"""What `resume_from` refuses, each with its message; the estimator is then as it was."""

import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.metrics import make_scorer, r2_score

from fastbp import MLPClassifier, MLPRegressor
from fastbp.callbacks import Checkpoint
from fastbp.optimizers import Adam
from resume_cases import SCORE, SMALL, TARGETS, WEIGHT, X, assert_same_model, fresh

pytestmark = [pytest.mark.fault(35), pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]


def saved(folder, Estimator=MLPRegressor, arguments=None, **params):
    """(fitted estimator, the path of its checkpoint after epoch 3)."""
    model = Estimator(**SMALL | params, callbacks=Checkpoint(folder / "{epoch}"))
    return model.fit(X, TARGETS[Estimator], **arguments or {}), folder / "3"


def refuses(model, message, kind=ValueError, X=X, y=SCORE, **arguments):
    """Whether fit raises, and leaves a fitted and a new estimator as they were."""
    fitted = fresh(model).fit(X, y)
    for estimator in (fitted, fresh(model)):
        before = pickle.dumps(vars(estimator))
        with pytest.raises(kind, match=message):
            estimator.fit(X, y, **arguments)
        assert pickle.dumps(vars(estimator)) == before


def test_what_is_no_checkpoint(tmp_path):
    model, path = saved(tmp_path)
    refuses(model, "No such file", FileNotFoundError, resume_from=tmp_path / "nothing")
    refuses(model, "Is a directory|Permission denied", OSError, resume_from=tmp_path)
    for content in (b"", b"text", path.read_bytes()[:-100], pickle.dumps(3)[:-1], b"\x80\x05c"):
        (tmp_path / "bad").write_bytes(content)
        refuses(model, r"resume_from=.*bad' cannot be loaded: .*Error.*Checkpoint", resume_from=tmp_path / "bad")
    for value in (3, fresh(model).set_params(callbacks=None).fit(X, SCORE), MLPRegressor()):
        (tmp_path / "bad").write_bytes(pickle.dumps(value))
        message = r"needs a checkpoint of a run: .* got PosixPath.*, which has no run to resume: it was saved otherwise"
        refuses(model, message, resume_from=tmp_path / "bad")
        refuses(model, r"resume_from needs a checkpoint of a run: (?s:.*), which has none", resume_from=value)


def test_another_class_or_format(tmp_path):
    model, path = saved(tmp_path)
    classifier = MLPClassifier(**SMALL)
    refuses(
        classifier,
        "checkpoint of MLPRegressor, and cannot be resumed by MLPClassifier",
        y=X[:, 0] > 0,
        resume_from=path,
    )
    checkpoint = pickle.loads(path.read_bytes())
    checkpoint._run["format"] = 0
    refuses(model, "resume_from is a checkpoint by another version of fastbp: resume it", resume_from=checkpoint)


PARAMETERS = {
    "alpha": (dict(alpha=0.1), {}, "alpha=0.1 and not 0.0001"),
    "several": (dict(alpha=0.1, tol=1.0), {}, r"alpha=0\.1 and not 0\.0001, tol=1\.0 and not 0\.01"),
    "layers": (dict(hidden_layer_sizes=(5, 6)), {}, r"hidden_layer_sizes=\(5, 6\) and not \(5, 5\)"),
    "seed": (dict(random_state=1), {}, "random_state=1 and not 0"),
    "no seed": (dict(random_state=None), {}, "random_state=None and not 0"),
    "a seed": (dict(random_state=0), dict(random_state=None), "random_state=0 and not None"),
    "an object": (dict(solver=Adam(beta_1=0.5)), dict(solver=Adam()), r"solver=Adam\(beta_1=0\.5\) and not Adam\(\)"),
    "schedule with an end": (
        dict(max_iter=9),
        dict(learning_rate="cosine"),
        "max_iter=9 and not 8; learning_rate='cos",
    ),
    "average to the end": (
        dict(max_iter=9),
        dict(swa_start=0.5),
        "max_iter=9 and not 8; swa_start=0.5 depends on max_",
    ),
    "share to warm up": (dict(max_iter=9), dict(warmup=0.5), "max_iter=9 and not 8; warmup=0.5 depends on max_iter"),
    "less epochs": (dict(max_iter=2), {}, "max_iter=2 is less than the 3 epochs of the checkpoint"),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_other_parameters(case, tmp_path):
    other, params, message = PARAMETERS[case]
    model, path = saved(tmp_path, **params)
    refuses(fresh(model, **other), message, resume_from=path)


def test_parameters_that_are_the_same(tmp_path):
    """Equal ones of other types, objects without a comparison, and those that have no effect."""
    model, path = saved(
        tmp_path, hidden_layer_sizes=[5, 5], scoring=[make_scorer(r2_score), "loss"], early_stopping=True
    )
    for params in (
        dict(hidden_layer_sizes=np.array([5, 5]), alpha=np.float64(1e-4), batch_size=np.int64(12)),
        dict(scoring=[make_scorer(r2_score), "loss"]),
        dict(verbose=True, max_time=1000.0, n_threads=1, warm_start=True, max_iter=8, init_from=model),
    ):
        resumed = fresh(model, **params).fit(X, SCORE, resume_from=path)
        assert_array_equal(resumed.network_.params, model.network_.params)
    model, path = saved(
        tmp_path, MLPClassifier, class_weight={"yes": 2.0}, solver=Adam(beta_1=0.8), activation=["tanh", "relu"]
    )
    same = fresh(model, class_weight={"yes": 2}, solver=Adam(beta_1=0.8), activation=("tanh", "relu"))
    assert_same_model(
        same.fit(X, TARGETS[MLPClassifier], resume_from=path).set_params(**model.get_params(deep=False)), model
    )


def test_generators_of_another_kind(tmp_path):
    model, path = saved(tmp_path, random_state=np.random.RandomState(3))
    other = np.random.RandomState(np.random.PCG64(0))
    refuses(
        fresh(model, random_state=other),
        "random_state has the bit generator PCG64, and the run of the checkpoint has MT19937",
        resume_from=path,
    )
    # a Generator is one too, and None has the kind of the run
    model, path = saved(tmp_path, random_state=np.random.default_rng(0))
    resumed = fresh(model, random_state=np.random.default_rng(1)).fit(X, SCORE, resume_from=path)
    assert_same_model(resumed, model)
    assert_same_model(fresh(model, random_state=None).fit(X, SCORE, resume_from=path), model)


ROWS = dict(X_val=X[:9], y_val=SCORE[:9])
CHANGED = np.where(np.arange(40) == 7, 1.5, X[:, 2])
DATA = {
    "other X": (dict(X=np.c_[X[:, :2], CHANGED, X[:, 3]]), {}, "X has other values than in the run of the checkpoint"),
    "less rows": (
        dict(X=X[1:], y=SCORE[1:]),
        {},
        r"X has the shape \(39, 4\), and had \(40, 4\) in the run of the check",
    ),
    "less columns": (dict(X=X[:, 1:]), {}, "X has 3 features, but MLPRegressor is expecting 4 features"),
    "another order": (dict(X=X[::-1], y=SCORE[::-1]), {}, "X has other values than in the run of the checkpoint; give"),
    "other y": (dict(y=SCORE + 1), {}, "y has other values than in the run of the checkpoint; give fit the same data"),
    "more outputs": (dict(y=np.c_[SCORE, SCORE]), {}, "but y asks for"),
    "float32": (dict(X=X.astype("float32")), {}, "X has the dtype <f4, and had <f8 in the run of the checkpoint"),
    "sparse": (dict(X=csr_array(X)), {}, "X has the format csr, and had dense in the run of the checkpoint"),
    "weights": (dict(sample_weight=WEIGHT), {}, "sample_weight is given, and was not given to the run"),
    "no weights": ({}, dict(sample_weight=WEIGHT), "sample_weight is not given, and was given to the run"),
    "other weights": (dict(sample_weight=WEIGHT), dict(sample_weight=WEIGHT + 1), "sample_weight has other values"),
    "rows to score": (ROWS, {}, "X_val is given, and was not given to the run of the checkpoint"),
    "other rows": (ROWS | dict(X_val=X[1:10]), ROWS, "X_val has other values than in the run of the checkpoint"),
}


@pytest.mark.parametrize("case", DATA)
def test_other_data(case, tmp_path):
    given, arguments, message = DATA[case]
    model, path = saved(tmp_path, arguments=arguments)
    with pytest.raises(ValueError, match=message):
        fresh(model).fit(given.get("X", X), given.get("y", SCORE), **rest(given), resume_from=path)


def rest(given):
    return {name: value for name, value in given.items() if name not in ("X", "y")}


def test_a_refused_checkpoint_leaves_the_generator_alone(tmp_path):
    params = dict(hidden_layer_sizes=(3,), max_iter=3, shuffle=False)
    generator = np.random.RandomState(0)
    MLPRegressor(**params, random_state=generator, callbacks=Checkpoint(tmp_path / "net")).fit(X, SCORE)
    generator.random()
    before = generator.get_state()[1:3]
    resumed = MLPRegressor(**params | dict(max_iter=2), random_state=generator)
    with pytest.raises(ValueError, match="max_iter=2 is less than the 3 epochs of the checkpoint"):
        resumed.fit(X, SCORE, resume_from=tmp_path / "net")
    np.testing.assert_equal(generator.get_state()[1:3], before)


def test_a_checkpoint_of_partial_fit_has_no_run(tmp_path):
    model = MLPRegressor(**SMALL, callbacks=Checkpoint(tmp_path / "{epoch}"))
    model.partial_fit(X, SCORE).partial_fit(X, SCORE)
    loaded = pickle.loads((tmp_path / "1").read_bytes())
    assert_same_model(loaded, model)
    refuses(model, "which has no run to resume", resume_from=tmp_path / "1")


def test_other_classes(tmp_path):
    model, path = saved(tmp_path, MLPClassifier)
    y = TARGETS[MLPClassifier]
    for other in (np.char.add(y, "!"), np.where(y == "yes", "no", y)):
        message = "y has other values|`y` has classes not in `self.classes_`"
        refuses(model, message, y=other, resume_from=path)
    refuses(model, "y has other values", y=y[::-1].copy(), resume_from=path)


def test_partial_fit_does_not_resume(tmp_path):
    model, path = saved(tmp_path)
    with pytest.raises(TypeError, match=re.escape("resume_from")):
        model.partial_fit(X, SCORE, resume_from=path)
