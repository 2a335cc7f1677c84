"""Real data for the benchmarks: what scikit-learn bundles, and public files in a folder of the user's.

=============  ======================  ===============================================================================
name           rows, features, classes file in the folder
=============  ======================  ===============================================================================
digits         1,797, 64, 10           none; bundled with scikit-learn
mnist          70,000, 784, 10         mnist/train-images-idx3-ubyte.gz, train-labels-..., t10k-images-..., t10k-labels
letter         20,000, 16, 26          letter/letter.tsv.gz, a header line, the class in the column "target"
covtype-ramp   92,962, 54, 7           covtype-ramp/test.csv.gz, a header line, the class in the last column
=============  ======================  ===============================================================================
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test rows of a classification problem, scaled.

    Attributes
    ----------
    X_train, X_test : ndarray of float64 of shape (n, n_features)
    y_train, y_test : ndarray of shape (n,)
    """

    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


def read_idx(path):
    """Read an IDX file of bytes, the format of MNIST: the header's last bytes are the lengths of the dimensions.

    Parameters
    ----------
    path : Path
        Compressed by gzip.

    Returns
    -------
    ndarray of uint8
    """
    raw = gzip.decompress(path.read_bytes())
    n_dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", n_dimensions, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)


def read_table(path, delimiter):
    """Read a table of numbers with a header line.

    Parameters
    ----------
    path : Path
        May be compressed by gzip.
    delimiter : str

    Returns
    -------
    names : list of str
        Of the columns.
    table : ndarray of float64 of shape (n, n_columns)
    """
    with gzip.open(path, "rt") as file:
        names = file.readline().strip().split(delimiter)
        return names, np.loadtxt(file, delimiter=delimiter)


def split_rows(X, y):
    """Hold out a quarter of the rows, and scale all features by the training rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    y : ndarray of shape (n,)

    Returns
    -------
    Split
    """
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    return Split(scaler.transform(X_train), scaler.transform(X_test), y_train, y_test)


def load_mnist(folder):
    """The official split; pixels in [0, 1]."""
    parts = {}
    for part, name in (("train", "train"), ("test", "t10k")):
        images = read_idx(folder / "mnist" / f"{name}-images-idx3-ubyte.gz")
        parts[f"X_{part}"] = images.reshape(len(images), -1) / 255
        parts[f"y_{part}"] = read_idx(folder / "mnist" / f"{name}-labels-idx1-ubyte.gz")
    return Split(**parts)


def load_letter(folder):
    """A quarter of the rows for testing; standardized."""
    names, table = read_table(folder / "letter" / "letter.tsv.gz", "\t")
    target = names.index("target")
    return split_rows(np.delete(table, target, axis=1), table[:, target])


def load_covtype_ramp(folder):
    """A quarter of the rows for testing; standardized."""
    _, table = read_table(folder / "covtype-ramp" / "test.csv.gz", ",")
    return split_rows(table[:, :-1], table[:, -1])


#: name -> function that reads the data from a folder
FROM_FOLDER = {"mnist": load_mnist, "letter": load_letter, "covtype-ramp": load_covtype_ramp}
NAMES = ("digits", *FROM_FOLDER)


def load(name, folder=None):
    """Load a data set.

    Parameters
    ----------
    name : str
        One of ``NAMES``.
    folder : str or None
        Where the files are; not needed for digits.

    Returns
    -------
    Split
    """
    if name == "digits":
        return split_rows(*load_digits(return_X_y=True))
    if folder is None:
        raise ValueError(f"{name} is read from files: give their folder")
    return FROM_FOLDER[name](Path(folder))
