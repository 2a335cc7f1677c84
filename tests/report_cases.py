"""Data and fitted estimators for the tests of reports, each made once."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPRegressor, TabularMLPClassifier

#: Small and quick
SETTINGS = dict(hidden_layer_sizes=(8,), max_iter=40, learning_rate_init=0.01, random_state=0)
#: What a careless page would run
EVIL = "<script>alert('1')</script>"


def fitted(model, X, y, **options):
    """The estimator after `fit`, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, **options)


@cache
def iris():
    """X, standardized, and y."""
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@cache
def diabetes():
    """X and y, both standardized."""
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), (y - y.mean()) / y.std()


@cache
def loans():
    """A data frame with missing values and categories, and labels."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, 300),
            EVIL: rng.choice(["Bonn", "Kiel"], 300).astype(object),
            "children": rng.integers(0, 5, 300),
        }
    )
    labels = np.where(frame["age"] + 10 * (frame[EVIL] == "Bonn") > 45, "paid", f"not paid {EVIL}")
    frame.loc[::9, "age"] = np.nan
    frame.loc[::8, EVIL] = None
    return frame, labels


@cache
def healthy_classifier():
    """(model, X_test, y_test) without anything to warn of."""
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    model = MLPClassifier((16,), alpha=0.01, early_stopping=True, learning_rate_init=0.003, random_state=0)
    model = fitted(make_pipeline(StandardScaler(), model), X_train, y_train)
    return model, X_test, y_test


@cache
def healthy_regressor():
    """(model, X_test, y_test) without anything to warn of."""
    X, y = make_friedman1(1000, noise=1.0, random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    model = MLPRegressor(hidden_layer_sizes=(32,), early_stopping=True, learning_rate_init=0.01, random_state=0)
    return fitted(make_pipeline(StandardScaler(), model), X_train, y_train), X_test, y_test


@cache
def tabular_classifier():
    """(model, X, y) of an ensemble for a data frame."""
    frame, labels = loans()
    return fitted(TabularMLPClassifier(preset="fast", random_state=0), frame, labels), frame, labels
