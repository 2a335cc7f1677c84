"""The study of tables; `benchmarks/tabular.py` and the modules that it uses."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from benchmark_cases import BENCHMARKS, run
from fastbp import TabularMLPRegressor

DATASETS = """
from types import SimpleNamespace
import numpy as np
import pandas as pd

def load(name):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=90), "b": np.where(rng.random(90) < 0.5, 1, 2)})
    return SimpleNamespace(task="regression", X=X, y=rng.normal(size=90), categorical=["b"])
"""


@pytest.fixture(scope="module")
def scores(benchmarks):
    return benchmarks("table_scores")


@pytest.fixture(scope="module")
def data(benchmarks):
    return benchmarks("table_data")


@pytest.fixture(scope="module")
def contenders(benchmarks):
    return benchmarks("table_contenders")


@pytest.fixture(scope="module")
def study(benchmarks):
    return benchmarks("tabular")


@pytest.fixture(scope="module")
def report(benchmarks):
    return benchmarks("tabular_report")


@pytest.fixture(scope="module")
def charts(benchmarks):
    return benchmarks("tabular_charts")


def test_calibration_error(scores):
    # confidence .9: three of four right, gap .15; confidence .6: one of one right, gap .4
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.4, 0.6]])
    y = np.array([0, 0, 1, 0, 1])
    assert_allclose(scores.calibration_error(probabilities, y), (4 * 0.15 + 0.4) / 5)
    assert scores.calibration_error(np.eye(2), np.array([0, 1])) == 0


def test_scores(scores):
    found = scores.score_probabilities(np.array([[0.5, 0.25], [0.2, 0.8], [1.0, 0.0]]), np.array([0, 1, 1]))
    assert_allclose(found["error"], 1 / 3)
    assert_allclose(found["log_loss"], -(math.log(2 / 3) + math.log(0.8) + math.log(1e-15)) / 3)  # rows sum to 1
    assert_allclose(scores.score_numbers(np.array([[1.0], [2.0]]), np.array([0.0, 4.0]))["error"], math.sqrt(2.5))


def test_interval_coverage(scores):
    lower, upper = np.array([0.0, 0, 0, 0]), np.array([1.0, 1, 1, 1])
    assert scores.interval_coverage(lower, upper, np.array([0.0, 1.0, 1.5, -1.0])) == 0.5


def test_geometric_mean(scores):
    assert_allclose(scores.geometric_mean([0.5, 2, 8]), 2)
    assert scores.geometric_mean([0.0, 1]) == 0
    assert math.isnan(scores.geometric_mean([]))


def test_ratios_and_wins(scores):
    reference = {"x": 2.0, "y": 0.0, "z": 0.0, "u": 1.0}
    means = {"x": 1.0, "y": 0.0, "z": 0.5, "other": 3.0}
    assert scores.ratios_to(reference, means) == {"x": 0.5, "y": 1.0, "z": math.inf}
    assert list(scores.ratios_to(reference, means)) == ["x", "y", "z"]
    assert scores.count_wins(reference, means) == (1, 3)


def test_average_ranks(scores):
    means = {"a": {"x": 1.0, "y": 1.0, "z": 9.0}, "b": {"x": 2.0, "y": 1.0}, "c": {"x": 3.0, "y": 0.5}}
    assert scores.average_ranks(means) == ({"a": 1.75, "b": 2.25, "c": 2.0}, 2)
    assert scores.average_ranks({}) == ({}, 0)


def test_critical_difference_is_that_of_the_paper(scores):
    """Demšar (2006), table 5 and section 3.2.2: q = 2.569 for four classifiers, 14 data sets."""
    assert_allclose(scores.critical_difference(4, 14), 2.569 * math.sqrt(4 * 5 / (6 * 14)), rtol=5e-4)
    assert_allclose(scores.critical_difference(2, 1), 1.960, rtol=5e-4)


def test_groups_within_the_critical_difference(scores):
    ranks = {"d": 4.0, "a": 1.0, "b": 1.5, "c": 2.2}
    assert scores.groups_within(ranks, 1.0) == [["a", "b"], ["b", "c"]]
    assert scores.groups_within(ranks, 5.0) == [["a", "b", "c", "d"]]
    assert scores.groups_within(ranks, 0.1) == []


def test_table_of_a_folder(data, tmp_path):
    (tmp_path / "datasets.py").write_text(DATASETS)
    table = data.load("bike", tmp_path)
    assert table.task == "regression"
    assert (table.numeric, table.categorical) == (["a"], ["b"])
    assert list(table.X["b"].cat.categories) == ["1", "2"]
    train, test = data.split(table, 10_000, 0)
    assert (len(train.y), len(test.y)) == (67, 23)  # a quarter of the rows is left
    with pytest.raises(ValueError, match="give their folder"):
        data.load("bike")


def test_splits_keep_the_classes(data):
    y = np.repeat([0, 1, 2], [60, 38, 2])
    table = data.make_table("t", "classification", np.arange(100.0)[:, None], y)
    train, test = data.split(table, 10, 0)
    assert_array_equal(np.bincount(train.y), [6, 4])
    assert 2 not in test.y  # the training rows lack it
    assert not set(train.X["0"]) & set(test.X["0"])
    again, _ = data.split(table, 10, 0)
    other, _ = data.split(table, 10, 1)
    assert_array_equal(train.X, again.X)
    assert not np.array_equal(train.X, other.X)


def mixed_table(data, task):
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"number": rng.normal(size=60), "level": rng.choice(["u", "v", "w"], 60)})
    y = X["number"] + (X["level"] == "u")
    return data.make_table("mixed", task, X, y > 0 if task == "classification" else y, ["level"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["hgbt", "sklearn-mlp"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_contenders_take_categories(contenders, data, name, task):
    table = mixed_table(data, task)
    model = contenders.CONTENDERS[name].make(table, 1, 0).fit(table.X, table.y)
    if task == "classification":
        assert model.predict_proba(table.X).shape == (60, 2)
    else:
        assert model.predict(table.X).shape == (60,)


def test_contender_that_is_not_installed(contenders):
    assert contenders.CONTENDERS["hgbt"].is_installed
    assert not contenders.Contender("", "no_such_package", None).is_installed
    assert not contenders.Contender("", "fastbp", None, "NoSuchEstimator").is_installed


def test_plan_lists_equal_sizes_once(study):
    rows = {"small": 100, "large": 100_000}
    cells = study.plan_cells(rows, (2_000, 10_000), (0, 1), ("hgbt",), rows.get)
    assert [tuple(cell.values()) for cell in cells] == [
        ("small", 75, 0, "hgbt"),
        ("large", 2_000, 0, "hgbt"),
        ("large", 10_000, 0, "hgbt"),
        ("small", 75, 1, "hgbt"),
        ("large", 2_000, 1, "hgbt"),
        ("large", 10_000, 1, "hgbt"),
    ]


def test_probabilities_of_all_classes(study):
    class Model:
        def predict_proba(self, X):
            return np.array([[0.25, 0.75]] * len(X))

    assert_allclose(study.predict_all_classes(Model(), np.zeros(2), [0, 2], 4), [[0.25, 0, 0.75, 0]] * 2)


def test_operations_of_a_fit(study):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    options = {"n_ensemble": 1, "hidden_layer_sizes": (8,), "oob_fraction": 0, "numeric_embedding": None}
    model = TabularMLPRegressor(**options, epochs=3).fit(X, X[:, 0] + 0.1 * rng.normal(size=40))
    # two cycles of 1 and 2 epochs, of which the second one is kept; 6 for each weight and row, but those of the input
    assert [member.n_iter_ for member in model.estimators_] == [2]
    assert study.training_flops(model) == 2 * 40 * 6 * (2 * 8 + 8)


def test_study_continues_where_it_stopped(study, monkeypatch, tmp_path):
    file, fitted = tmp_path / "figures.json", []

    def fit(cell, *_):
        fitted.append((cell["table"], cell["split"]))
        if len(fitted) == 3:
            raise KeyboardInterrupt
        return {"error": 0.5, "fit_seconds": 1.0} if cell["split"] else {"failure": "no memory"}

    monkeypatch.setattr(study, "fit_in_process", fit)
    monkeypatch.setattr(study, "measure_peak", lambda _: None)
    arguments = ["--json", str(file), "--contender", "hgbt", "--table", "wine", "--split", "0", "--split", "1"]
    with pytest.raises(KeyboardInterrupt):
        study.main([*arguments, "--table", "diabetes"])
    assert fitted == [("wine", 0), ("diabetes", 0), ("wine", 1)]
    study.main([*arguments, "--table", "diabetes"])
    assert fitted[3:] == [("wine", 1), ("diabetes", 1)]
    study.main([*arguments, "--again"])
    assert fitted[5:] == [("wine", 0)]
    document = json.loads(file.read_text())
    assert document["tables"]["wine"] == {"task": "classification", "n_rows": 178, "n_columns": 13}
    assert [row["table"] for row in document["results"]] == ["wine", "diabetes", "wine", "diabetes"]


def test_one_fit_in_its_process(tmp_path):
    options = ["--json", tmp_path / "figures.json", "--table", "wine", "--contender", "hgbt", "--split", "3"]
    printed = run(BENCHMARKS / "tabular.py", *options, "--threads", "1", cwd=tmp_path)
    assert "failed" not in printed
    (row,) = json.loads((tmp_path / "figures.json").read_text())["results"]
    assert (row["n_train"], row["n_test"], row["n_threads"]) == (133, 45, 1)
    assert row["error"] < 0.3
    assert 0 < row["log_loss"] < 1
    assert row["fit_seconds"] > 0


def made_up_document():
    """Errors of HistGradientBoosting are 1 everywhere, those of CatBoost .5 or 2; LightGBM lacks a table."""
    tables = {
        "letter": ("classification", 20_000),
        "magic": ("classification", 20_000),
        "shuttle": ("classification", 58_000),
        "bike": ("regression", 17_000),
        "wine": ("classification", 178),
    }
    document = {"sizes": [10_000], "results": []}
    document["tables"] = {name: {"task": task, "n_rows": n} for name, (task, n) in tables.items()}
    errors = {"hgbt": dict.fromkeys(tables, 1.0), "lightgbm": dict.fromkeys(["letter", "magic", "shuttle"], 0.5)}
    errors["catboost"] = {"letter": 0.5, "magic": 0.5, "shuttle": 2.0, "bike": 2.0, "wine": 9.0}
    for contender, by_table in errors.items():
        for table, error in by_table.items():
            row = {"table": table, "n_train": 133 if table == "wine" else 10_000, "contender": contender}
            row |= {"n_test": 100, "fit_seconds": 2.0, "predict_seconds": 0.5, "peak_bytes": 2**21}
            row |= {"fit_flops": 1e9, "fma_peak_flops": 1e9} if contender == "catboost" else {}
            row |= {"log_loss": error} if tables[table][0] == "classification" else {}
            document["results"] += [row | {"split": seed, "error": error * (1 + 0.1 * seed)} for seed in (-1, 1)]
    document["results"].append({"table": "bike", "n_train": 10_000, "split": 0, "contender": "xgboost", "failure": "x"})
    return document


def cells_of(markdown, title):
    """The numbers of the first line of a contender."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_summary(report):
    summary = report.summarize(made_up_document(), 10_000)
    # classification without shuttle; all with it, and without the small tables
    assert cells_of(summary, "CatBoost")[:3] == ["0.500", "2.000", "1.000"]
    assert cells_of(summary, "CatBoost")[3:] == ["0.500", "2 of 3", "2 of 4", "", "1.50"]
    assert cells_of(summary, "HistGradientBoosting")[5:] == ["", "2 of 4", "1.50"]
    assert cells_of(summary, "LightGBM") == ["0.500", "", "0.500 (3 tables)", "0.500", "3 of 3", "3 of 3", "1 of 3", ""]


def test_ratio_takes_the_splits_of_both(report):
    by_contender = {"hgbt": {"x": {0: 1.0, 1: 5.0}}, "realmlp": {"x": {0: 0.5}}}
    assert report.compare(by_contender, "hgbt")["realmlp"] == ({"x": 0.5}, (1, 1))


def test_report(report, capsys, tmp_path):
    (tmp_path / "figures.json").write_text(json.dumps(made_up_document()))
    report.main([str(tmp_path / "figures.json")])
    printed = capsys.readouterr().out
    assert "### 10,000 training rows" in printed
    assert "XGBoost on 10000 rows of bike, split 0, failed: x" in printed
    costs = printed.split("Geometric means over the tables:")[1]
    assert cells_of(costs, "CatBoost") == ["2", "200", "2", "50"]
    assert cells_of(costs, "LightGBM") == [*(f"{mean} (3 tables)" for mean in (2, 200, 2)), ""]


def test_charts(charts, tmp_path):
    document = made_up_document()
    figure = charts.draw_ranks(document, 10_000)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert any("CatBoost" in word for word in words)
    assert not any("LightGBM" in word for word in words)  # its ranks are over fewer tables
    figure = charts.draw_seconds(document, 10_000)
    points = {line.get_label(): line.get_xydata()[0] for line in figure.axes[0].lines}
    assert_allclose(points["CatBoost"], [2.0, 0.5])  # letter and magic, which all have
    (tmp_path / "figures.json").write_text(json.dumps(document))
    charts.main(
        [str(tmp_path / "figures.json"), "--ranks", str(tmp_path / "r.svg"), "--seconds", str(tmp_path / "s.png")]
    )
    assert (tmp_path / "r.svg").stat().st_size > 1000
    assert (tmp_path / "s.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="no two contenders"):
        charts.draw_ranks(document, 500)
    with pytest.raises(ValueError, match="no table with 500 training rows"):
        charts.draw_seconds(document, 500)
