"""Tables for the study of `tabular.py`: public files in a folder of the user's, and small ones of scikit-learn.

The folder has a module ``datasets.py`` with a function ``load(name)``. It returns an object with the attributes `task`
("classification" or "regression"), `X` (a data frame, or an array of numbers), `y` (an array) and `categorical` (the
names of the categorical columns of X).
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

#: Read from the folder
FROM_FOLDER = ("letter", "magic", "shuttle", "covtype-ramp", "online-shoppers", "mnist", "bike", "diamonds", "sgemm")
#: Bundled with scikit-learn: name -> task and function that loads it
BUNDLED = {
    "breast-cancer": ("classification", datasets.load_breast_cancer),
    "wine": ("classification", datasets.load_wine),
    "diabetes": ("regression", datasets.load_diabetes),
}
NAMES = (*FROM_FOLDER, *BUNDLED)
MOST_TEST_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Table:
    """A table with its target.

    Attributes
    ----------
    name : str
    task : {"classification", "regression"}
    X : DataFrame of shape (n, n_columns)
        Categorical columns have the dtype category, all others are numbers.
    y : ndarray of shape (n,)
        Class numbers from 0, or numbers.
    """

    name: str
    task: str
    X: pd.DataFrame
    y: np.ndarray

    @property
    def categorical(self):
        """Names of the categorical columns."""
        return [name for name, dtype in self.X.dtypes.items() if dtype == "category"]

    @property
    def numeric(self):
        """Names of the other columns."""
        return [name for name, dtype in self.X.dtypes.items() if dtype != "category"]

    def take(self, rows):
        """The table of these rows. All levels of the categories remain."""
        return Table(self.name, self.task, self.X.iloc[rows].reset_index(drop=True), self.y[rows])


def make_table(name, task, X, y, categorical=()):
    """Make a `Table`: column names become strings, levels strings, classes numbers from 0.

    Parameters
    ----------
    name : str
    task : {"classification", "regression"}
    X : DataFrame or ndarray
    y : array-like
    categorical : sequence of str
        Columns of X.

    Returns
    -------
    Table
    """
    X = pd.DataFrame(X).copy()
    X.columns = [str(column) for column in X.columns]
    for column in X:
        X[column] = X[column].astype(str).astype("category") if column in categorical else X[column].astype(np.float64)
    y = np.unique(y, return_inverse=True)[1] if task == "classification" else np.asarray(y, np.float64)
    return Table(name, task, X, y)


def load(name, folder=None):
    """Load a table.

    Parameters
    ----------
    name : str
        One of ``NAMES``.
    folder : str or None
        Where the files and ``datasets.py`` are; not needed for the tables of scikit-learn.

    Returns
    -------
    Table
    """
    if name in BUNDLED:
        task, read = BUNDLED[name]
        return make_table(name, task, *read(return_X_y=True))
    if folder is None:
        raise ValueError(f"{name} is read from files: give their folder")
    spec = importlib.util.spec_from_file_location("datasets_of_the_folder", Path(folder) / "datasets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.load(name)
    return make_table(name, found.task, found.X, found.y, found.categorical)


def training_rows(n, size):
    """Number of training rows: `size`, but at most three quarters of all rows.

    Parameters
    ----------
    n : int
        Rows of the table.
    size : int
        Training rows aimed at.

    Returns
    -------
    int
    """
    return min(size, 3 * n // 4)


def split(table, size, seed):
    """Draw training rows, and test rows from the rest; in classification with the shares of the classes kept.

    Parameters
    ----------
    table : Table
    size : int
        Training rows aimed at; see `training_rows`.
    seed : int

    Returns
    -------
    train, test : Table
        There are at most ``MOST_TEST_ROWS`` test rows. Those of a rare class without a training row are left out.
    """
    rows = np.arange(len(table.y))
    n_train = training_rows(len(table.y), size)
    if table.task == "regression":
        train, rest = train_test_split(rows, train_size=n_train, random_state=seed)
    else:
        train, rest = train_test_split(rows, train_size=n_train, random_state=seed, stratify=table.y)
        rest = rest[np.isin(table.y[rest], table.y[train])]
    return table.take(train), table.take(rest[:MOST_TEST_ROWS])
