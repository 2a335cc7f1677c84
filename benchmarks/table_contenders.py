"""The contenders of `tabular.py`: each with its defaults, categorical columns as each takes them by itself.

A contender is made for a task and has the methods ``fit(X, y)``, ``predict(X)`` and, in classification,
``predict_proba(X)``; X is a data frame whose categorical columns have the dtype category.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def is_classification(table):
    """Whether the table's target is a class."""
    return table.task == "classification"


def make_hgbt(table, n_threads, seed):
    """HistGradientBoosting of scikit-learn; OpenMP reads the number of threads from the environment."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    make = HistGradientBoostingClassifier if is_classification(table) else HistGradientBoostingRegressor
    return make(random_state=seed, categorical_features="from_dtype")


def make_catboost(table, n_threads, seed):
    """CatBoost, which needs the names of the categorical columns."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    make = CatBoostClassifier if is_classification(table) else CatBoostRegressor
    quiet = {"verbose": 0, "allow_writing_files": False}
    return make(random_seed=seed, thread_count=n_threads, cat_features=table.categorical, **quiet)


def make_lightgbm(table, n_threads, seed):
    """LightGBM, which takes columns of the dtype category."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    make = LGBMClassifier if is_classification(table) else LGBMRegressor
    return make(random_state=seed, n_jobs=n_threads, verbose=-1)


def make_xgboost(table, n_threads, seed):
    """XGBoost, which takes columns of the dtype category when it is asked to."""
    from xgboost import XGBClassifier, XGBRegressor

    make = XGBClassifier if is_classification(table) else XGBRegressor
    return make(random_state=seed, n_jobs=n_threads, enable_categorical=True)


def make_sklearn_mlp(table, n_threads, seed):
    """scikit-learn's MLP on standardized numbers (the target, too) and one-hot categories."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    encode = make_column_transformer(
        (StandardScaler(), table.numeric), (OneHotEncoder(handle_unknown="ignore"), table.categorical)
    )
    if is_classification(table):
        return make_pipeline(encode, MLPClassifier(random_state=seed))
    return TransformedTargetRegressor(
        make_pipeline(encode, MLPRegressor(random_state=seed)), transformer=StandardScaler()
    )


class RealMLP:
    """RealMLP-TD of pytabkit, whose `fit` takes the names of the categorical columns."""

    def __init__(self, table, n_threads, seed):
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

        make = RealMLP_TD_Classifier if is_classification(table) else RealMLP_TD_Regressor
        self.categorical = table.categorical
        self.model = make(random_state=seed, n_threads=n_threads, device="cpu")
        self.predict = self.model.predict
        self.predict_proba = getattr(self.model, "predict_proba", None)

    def fit(self, X, y):
        """Train."""
        self.model.fit(X, y, cat_col_names=self.categorical)
        return self


def make_fastbp(preset):
    """The maker of fastbp's estimators with a preset."""

    def make(table, n_threads, seed):
        fastbp = importlib.import_module("fastbp")
        estimator = fastbp.TabularMLPClassifier if is_classification(table) else fastbp.TabularMLPRegressor
        return estimator(preset=preset, random_state=seed, n_threads=n_threads)

    return make


@dataclass(frozen=True)
class Contender:
    """A contender of the study.

    Attributes
    ----------
    title : str
        Its name in tables and charts.
    package : str
        What must be installed.
    make : callable
        ``make(table, n_threads, seed)`` returns the estimator.
    attribute : str, optional
        What the package must have.
    """

    title: str
    package: str
    make: Callable
    attribute: str | None = None

    @property
    def is_fastbp(self):
        """Whether it is one of fastbp's estimators."""
        return self.package == "fastbp"

    @property
    def is_installed(self):
        """Whether the package, and its attribute, are there."""
        if importlib.util.find_spec(self.package) is None:
            return False
        return self.attribute is None or hasattr(importlib.import_module(self.package), self.attribute)


CONTENDERS = {
    "hgbt": Contender("HistGradientBoosting", "sklearn", make_hgbt),
    "catboost": Contender("CatBoost", "catboost", make_catboost),
    "lightgbm": Contender("LightGBM", "lightgbm", make_lightgbm),
    "xgboost": Contender("XGBoost", "xgboost", make_xgboost),
    "sklearn-mlp": Contender("scikit-learn's MLP", "sklearn", make_sklearn_mlp),
    "realmlp": Contender("RealMLP-TD", "pytabkit", RealMLP),
    "fast": Contender("fastbp, fast", "fastbp", make_fastbp("fast"), "TabularMLPClassifier"),
    "default": Contender("fastbp, default", "fastbp", make_fastbp("default"), "TabularMLPClassifier"),
    "best": Contender("fastbp, best", "fastbp", make_fastbp("best"), "TabularMLPClassifier"),
}
