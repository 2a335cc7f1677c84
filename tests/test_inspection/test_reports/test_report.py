"""A report of every kind of estimator and data: a well-formed page, and an estimator that is as it was."""

import builtins
import os
import pickle
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor, from_network
from fastbp.inspection import Finding, Report, gradient_flow, report
from fastbp.layers import Concatenate, Dense, OneHot, RobustScale
from fastbp.losses import Quantile
from report_cases import EVIL, SETTINGS, diabetes, fitted, healthy_classifier, iris, loans, tabular_classifier
from sklearn_versions import RELEASE

RNG = np.random.default_rng(0)
NAMES = np.array(["setosa", EVIL, "virginica & co"])
#: Elements of HTML that have no end
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """What a page consists of; an error for what is not well-formed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag):
        """The attributes of all elements with a tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def cauchy(y_true, raw_prediction, sample_weight):
    """A loss of a user."""
    error = raw_prediction - y_true
    return np.log1p(error**2).sum(axis=1), 2 * error / (1 + error**2)


def classifier(**settings):
    return MLPClassifier(**{**SETTINGS, **settings})


def regressor(**settings):
    return MLPRegressor(**{**SETTINGS, **settings})


def columns_of_layers():
    X, y = iris()
    layers = [Concatenate([OneHot([3], columns=[0]), RobustScale(columns=[1])]), Dense(4, "relu")]
    return classifier(layers=layers), np.column_stack([y, X[:, 0]]), y


def two_columns():
    X, y = iris()
    return classifier(), X, np.column_stack([NAMES[y], np.where(X[:, 0] > 0, "big", "small")])


def pipeline_of_columns():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((numbers, ["age", "children"]), (OneHotEncoder(), [EVIL]))
    return make_pipeline(columns, classifier()), *loans()


def search():
    return GridSearchCV(
        make_pipeline(StandardScaler(), classifier()), {"mlpclassifier__alpha": [1e-4, 1]}, cv=2
    ), *iris()


def of_iris(model, change=lambda X, y: (X, y)):
    """A case with the irises, changed."""
    return lambda: (model(), *change(*iris()))


def of_diabetes(model, change=lambda X, y: (X, y)):
    """A case with the diabetes data, changed."""
    return lambda: (model(), *change(*diabetes()))


CASES = {
    "binary": of_iris(classifier, lambda X, y: (X[:100], y[:100])),
    "labels": of_iris(classifier, lambda X, y: (X, NAMES[y])),
    "lists": of_iris(classifier, lambda X, y: (X.tolist(), NAMES[y].tolist())),
    "multilabel": of_iris(classifier, lambda X, y: (X, (X > 0).astype(int))),
    "sparse multilabel": of_iris(classifier, lambda X, y: (sparse.csr_array(X), sparse.csr_matrix(X > 0))),
    "columns of labels": two_columns,
    "probabilities": of_iris(classifier, lambda X, y: (X, 0.9 * np.eye(3)[y] + 0.1 / 3)),
    "one class": of_iris(classifier, lambda X, y: (X[:50], y[:50])),
    "twenty classes": of_iris(classifier, lambda X, y: (X, np.arange(len(X)) % 20)),
    "lbfgs": of_iris(lambda: MLPClassifier(solver="lbfgs", max_iter=50, random_state=0)),
    "early stopping": of_iris(lambda: classifier(early_stopping=True)),
    "two scores": of_iris(lambda: classifier(early_stopping=True, scoring=["neg_log_loss", "loss"])),
    "gradient flow": of_iris(lambda: classifier(callbacks=gradient_flow())),
    "no hidden layer": of_iris(lambda: classifier(hidden_layer_sizes=())),
    "float32": of_iris(lambda: classifier(dtype="float32")),
    "normalized": of_iris(lambda: classifier(normalization="batch", dropout=0.1, input_dropout=0.1)),
    "deep": of_iris(lambda: classifier(hidden_layer_sizes=[8] * 30, residual=True, normalization="layer", max_iter=3)),
    "layers of columns": columns_of_layers,
    "numbers": of_diabetes(regressor),
    "four outputs": of_diabetes(regressor, lambda X, y: (X, np.column_stack([y, -y, X[:, 0], y**2]))),
    "frames": of_diabetes(regressor, lambda X, y: (pd.DataFrame(X).add_prefix("c"), pd.DataFrame({"a": y, "b": -y}))),
    "quantiles": of_diabetes(lambda: regressor(loss=Quantile([0.1, 0.5, 0.9]))),
    "one quantile": of_diabetes(lambda: regressor(loss=Quantile(0.9)), lambda X, y: (X, np.column_stack([y, -y]))),
    "gaussian": of_diabetes(lambda: regressor(loss="gaussian")),
    "two gaussians": of_diabetes(lambda: regressor(loss="gaussian"), lambda X, y: (X, np.column_stack([y, -y]))),
    "counts": of_diabetes(lambda: regressor(loss="poisson"), lambda X, y: (X, np.round(np.exp(y)))),
    "own loss": of_diabetes(lambda: regressor(loss=cauchy)),
    "transformed target": of_diabetes(
        lambda: make_pipeline(StandardScaler(), TransformedTargetRegressor(regressor(), transformer=StandardScaler())),
        lambda X, y: (X, 100 * y + 500),
    ),
    "polars": of_diabetes(regressor, lambda X, y: (pl.DataFrame(X), pl.Series(y))),
    "sparse": of_iris(classifier, lambda X, y: (sparse.csr_matrix(X), y)),
    "csc in a pipeline": of_iris(
        lambda: make_pipeline(StandardScaler(with_mean=False), classifier()), lambda X, y: (sparse.csc_array(X), y)
    ),
    "pipeline of columns": pipeline_of_columns,
    "search": search,
    "autoencoder": of_iris(
        lambda: make_pipeline(StandardScaler(), MLPEncoder(2, (6,), regressor())), lambda X, y: (X, None)
    ),
    "table": lambda: (TabularMLPClassifier(preset="fast", epochs=3, random_state=0), *loans()),
    "table of polars": lambda: (
        TabularMLPClassifier(preset="fast", epochs=3, random_state=0),
        pl.from_pandas(loans()[0]),
        loans()[1],
    ),
    "table of Arrow": lambda: (
        TabularMLPClassifier(preset="fast", epochs=3, random_state=0),
        pa.Table.from_pandas(loans()[0]),
        loans()[1],
    ),
    "table of two numbers": lambda: (
        TabularMLPRegressor(preset="fast", epochs=3, random_state=0),
        loans()[0],
        RNG.normal(size=(300, 2)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind(name):
    if name == "table of Arrow" and RELEASE < (1, 9):
        pytest.skip("before scikit-learn 1.9, rows cannot be taken of tables of Arrow")
    model, X, y = CASES[name]()
    fitted(model, X, y)
    before = pickle.dumps(model)
    found = report(model, X, y, n_repeats=2)
    weight = RNG.random(X.shape[0] if hasattr(X, "shape") else len(X))
    weighted = report(model, X, y, sample_weight=weight, max_rows=100, n_repeats=1, title=EVIL)
    assert pickle.dumps(model) == before
    assert isinstance(found, Report)
    if hasattr(model, "score"):
        assert found.score == model.score(X, y)
    assert all(isinstance(one, Finding) for one in found.warnings)
    for one in (found, weighted):
        check_page(one.to_html())
    assert "random sample of 100" in str(weighted) or len(weight) <= 100


@pytest.mark.parametrize("inner", [False, True])
def test_a_search_within_a_pipeline(inner):
    """The score is that of the model, not what the search looks for, and takes weights."""
    X, y = iris()
    model = make_pipeline(StandardScaler(), classifier()) if inner else classifier()
    options = {"mlpclassifier__alpha" if inner else "alpha": [1e-4, 1]}
    model = fitted(make_pipeline(StandardScaler(), GridSearchCV(model, options, scoring="neg_log_loss", cv=2)), X, y)
    search, weight = model[-1], RNG.random(len(y))
    is_right = model.predict(X) == y
    found = report(model, X, y, n_repeats=1)
    assert found.score == is_right.mean()
    assert "importance" in found.to_html()
    assert_allclose(report(model, X, y, sample_weight=weight, n_repeats=1).score, np.average(is_right, weights=weight))
    assert model[-1] is search
    assert "behind StandardScaler, the best of 2 candidates of GridSearchCV" in str(found)


def test_steps_that_do_nothing_are_not_named():
    X, y = iris()
    for before, words in (
        (["passthrough"], "4 → 8 → 3 units.\n"),
        ([None, StandardScaler(), "passthrough"], "units, behind StandardScaler.\n"),
    ):
        model = fitted(make_pipeline(*before, classifier()), X, y)
        assert words in str(report(model, X, y, n_repeats=0))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_network_that_was_not_trained_here(solver):
    X, y = iris()
    model = from_network(fitted(classifier(), X, y).network_, [0, 1, 2], solver=solver)
    found = report(model, X, y, n_repeats=0)
    assert "Loss curve: the model has no record of a training" in found.left_out
    assert "Epochs" not in str(found)
    assert "Iterations" not in str(found)


def test_what_is_below_the_line():
    """Of two classes, a frequency below the probability of one is above that of the other."""
    X, y = iris()
    for n, below in ((100, "the class comes true less often than predicted"), (150, "the model is too sure")):
        model = fitted(classifier(), X[:n], y[:n])
        assert f"On the line, it is right; below, {below}." in report(model, X[:n], y[:n], n_repeats=0).to_html()


def check_page(html):
    """It is well-formed, loads nothing, and says in words what its pictures show."""
    page = Page(html)
    text = " ".join(page.text)
    assert "nan" not in re.split(r"\W+", text.lower())
    assert not page.all("script")
    assert not page.all("link")
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "data", "action", "xlink:href", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
        assert "url(" not in attributes.get("style", "")
    assert "url(" not in html
    assert "@import" not in html
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {attributes["href"][1:] for attributes in page.all("a")} <= set(ids)
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} <= set(ids)
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert all(attributes["role"] == "img" for attributes in page.all("svg"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("title")) >= 1 + len(page.all("svg"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_markup_in_names_is_text():
    model, X, y = tabular_classifier()
    page = Page(report(model, X, y, title=EVIL).to_html())
    assert not page.all("script")
    assert " ".join(page.text).count(EVIL) >= 3  # the title, the class, the column


def test_what_is_left_out_is_said():
    X, y = diabetes()
    model = fitted(MLPRegressor(solver="lbfgs", max_iter=20, random_state=0), X, y)
    found = report(model, X, y, n_repeats=0)
    assert {line.partition(":")[0] for line in found.left_out} == {
        "Loss curve",
        "Validation curve",
        "Calibration",
        "Feature importance",
    }
    for line in found.left_out:
        assert line in Page(found.to_html()).text


def test_no_warnings_are_said_too():
    found = report(*healthy_classifier())
    assert found.warnings == []
    assert "checks found nothing to warn of" in found.to_html()
    assert str(found).endswith("No warnings.")
    assert repr(found).startswith("<Report of MLPClassifier, accuracy 0.9")
    assert repr(found).endswith(": 0 problems, 0 hints>")


def test_text():
    X, y = iris()
    model = fitted(MLPClassifier(**{**SETTINGS, "max_iter": 5}), X, y)
    found = report(model, X, y, title="The irises")
    text = str(found)
    assert text.startswith("Report: The irises\nMLPClassifier, 4 → 8 → 3 units.\nLooked at with 150 rows.\n")
    assert str(found.warnings[0]) in text
    assert f"Accuracy: {100 * found.score:.1f} %" in text


def test_in_a_notebook(tmp_path):
    found = report(*healthy_classifier(), n_repeats=0, title='"quoted" & <b>')
    frame = Page(found._repr_html_())
    ((tag, attributes),) = frame.tags
    assert tag == "iframe"
    assert attributes["srcdoc"] == found.to_html()
    assert attributes["sandbox"] == ""
    assert attributes["title"] == 'Report: "quoted" & <b>'


def test_save(tmp_path):
    found = report(*healthy_classifier(), n_repeats=0)
    path = tmp_path / "report.html"
    path.write_text("old")
    found.save(path)
    assert path.read_text("utf-8") == found.to_html()
    found.save(os.fspath(path))
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(OSError, match="nowhere"):
        found.save(tmp_path / "nowhere" / "report.html")


def test_lone_surrogates_can_be_saved(tmp_path):
    X, y = iris()
    model = fitted(MLPClassifier(**SETTINGS), X, np.array(["a\ud800", "b", "c"], dtype=object)[y])
    report(model, X, np.array(["a\ud800", "b", "c"], dtype=object)[y], n_repeats=0).save(tmp_path / "report.html")
    assert "a?" in (tmp_path / "report.html").read_text("utf-8")


def test_a_sample_of_many_rows_is_said_and_repeatable():
    X, y = iris()
    model = fitted(MLPClassifier(**SETTINGS), X, y)
    many = np.tile(X, (20, 1)), np.tile(y, 20)
    first, again, other = (report(model, *many, max_rows=200, random_state=seed) for seed in (0, 0, 1))
    assert "a random sample of 200 of 3,000 rows" in " ".join(Page(first.to_html()).text)
    assert first.to_html() == again.to_html()
    assert first.to_html() != other.to_html()


def test_rows_without_weight_are_left_out():
    X, y = iris()
    model = fitted(MLPClassifier(**SETTINGS), X, y)
    weight = np.where(y == 0, 0.0, 2.0)
    weighted = report(model, X, y, sample_weight=weight, n_repeats=0)
    assert "Looked at with 100 rows." in str(weighted)
    assert weighted.score == model.score(X[y > 0], y[y > 0])


def test_no_other_package_is_needed(monkeypatch):
    X, y = iris()
    model = fitted(MLPClassifier(**SETTINGS), X, y)
    frames = fitted(MLPClassifier(**SETTINGS), pl.DataFrame(X), y)
    imported = builtins.__import__

    def without(name, globals=None, *others):
        if globals is not None and globals["__name__"].startswith("fastbp") and name in ("matplotlib", "pandas"):
            raise ImportError(name)
        return imported(name, globals, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    assert not any("installed" in line for line in report(model, X, y).left_out)
    (left_out,) = (line for line in report(frames, pl.DataFrame(X), y).left_out if line.startswith("Feature"))
    assert "pandas, which is not installed" in left_out


def test_image_shape():
    X = np.random.default_rng(0).normal(size=(50, 72))
    X[:, 0] *= 5
    y = X[:, 0] > 0
    model = fitted(MLPClassifier(**SETTINGS), X, y)
    images = [
        attributes["alt"]
        for attributes in Page(report(model, X, y, n_repeats=1, image_shape=(8, 9)).to_html()).all("img")
    ]
    assert images == ["Importance of 8 × 9 pixels", "Weights of 8 units as images of 8 × 9 pixels"]
    assert not Page(report(model, X, y, n_repeats=1).to_html()).all("img")
    with pytest.raises(ValueError, match="image_shape must be"):
        report(model, X, y, image_shape=(8, 8))


@pytest.mark.parametrize(
    ("estimator", "error"),
    [
        (LogisticRegression().fit([[0.0], [1.0]], [0, 1]), TypeError),
        (make_pipeline(StandardScaler()).fit([[0.0], [1.0]]), TypeError),
        (MLPClassifier(), NotFittedError),
        (make_pipeline(StandardScaler(), MLPClassifier()), NotFittedError),
        (TabularMLPClassifier(), NotFittedError),
        (GridSearchCV(MLPClassifier(), {"alpha": [1.0]}), NotFittedError),
        (MLPClassifier, TypeError),
        ("model", TypeError),
    ],
)
def test_other_estimators(estimator, error):
    with pytest.raises(error):
        report(estimator, *iris())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: dict(X=X[:, :3], y=y), "features"),
        (lambda X, y: dict(X=X, y=y[:9]), "150 rows of X, got 9"),
        (lambda X, y: dict(X=X[:, 0], y=y), r"X must have two dimensions, got shape \(150,\)"),
        (lambda X, y: dict(X=pd.Series(X[:, 0]), y=y), r"X must have two dimensions, got shape \(150,\)"),
        (lambda X, y: dict(X=X[:, :, None], y=y), r"X must have two dimensions, got shape \(150, 4, 1\)"),
        (lambda X, y: dict(X=[1.0, 2.0], y=y), r"X must have two dimensions, got shape \(2,\)"),
        (lambda X, y: dict(X=1.0, y=y), r"X must have two dimensions, got shape \(\)"),
        (lambda X, y: dict(X=X, y=1), "150 rows of X, got the single value 1"),
        (lambda X, y: dict(X=X[:0], y=y[:0]), "at least one row"),
        (lambda X, y: dict(X=X, y=None), "requires y"),
        (lambda X, y: dict(X=X, y=y + 1), "classes not in"),
        (lambda X, y: dict(X=X, y=y, sample_weight=np.zeros(150)), "zero"),
        (lambda X, y: dict(X=X, y=y, sample_weight=np.ones(9)), "sample_weight"),
        (lambda X, y: dict(X=X, y=y, max_rows=0), "max_rows must be an integer >= 1"),
        (lambda X, y: dict(X=X, y=y, n_repeats=-1), "n_repeats must be an integer >= 0"),
        (lambda X, y: dict(X=X, y=y, feature_names=["a"]), "feature_names must be 4 names"),
    ],
)
def test_bad_arguments(change, message):
    X, y = iris()
    model = fitted(MLPClassifier(**SETTINGS), X, y)
    with pytest.raises(ValueError, match=message):
        report(model, **change(X, y))


def test_labels_that_an_ensemble_does_not_know():
    model, X, y = tabular_classifier()
    with pytest.raises(ValueError, match="labels that the model has not learned: 'new'"):
        report(model, X, np.where(y == "paid", "new", y))
