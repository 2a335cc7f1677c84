"""The attributes of a fitted estimator that follow from its network, its classes and its record.

They are set where an estimator is made of these and not by a fit: by loading a file, and by importing a model.
"""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer

from fastbp.estimators.class_targets import COLUMNS, INDICATORS
from fastbp.losses import as_loss

#: attribute -> the column of ``history_`` that it is
COLUMNS_OF_RECORD = {"loss_curve_": "loss", "validation_loss_curve_": "validation_loss"}


def set_derived(estimator, network, is_sparse):
    """Set the attributes of a fit that follow from others.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    network : Network
    is_sparse : bool
        Whether indicators of several labels came in a sparse matrix, so that predictions do too.
    """
    loss, n_units = as_loss(network.loss), network.n_outputs
    estimator._fitted_loss, estimator._n_units = loss, n_units
    estimator.n_features_in_, estimator.n_layers_ = network.layer_sizes[0], len(network.layer_sizes)
    estimator.n_outputs_ = loss.predictions(np.zeros((1, n_units))).shape[1]
    estimator.out_activation_ = network.definition["output_activation"]
    if hasattr(estimator, "history_"):
        for name, column in COLUMNS_OF_RECORD.items():
            setattr(estimator, name, estimator.history_.get(column))
    if hasattr(estimator, "classes_") and estimator._form != COLUMNS:
        estimator._label_binarizer = binarizer_of(estimator.classes_, estimator._form, is_sparse)
        estimator.classes_ = estimator._label_binarizer.classes_
    estimator._adopt(network)


def binarizer_of(classes, form, is_sparse):
    """The LabelBinarizer that was fitted to targets of these classes.

    Parameters
    ----------
    classes : ndarray
    form : str
        Of the targets.
    is_sparse : bool

    Returns
    -------
    LabelBinarizer
    """
    if form != INDICATORS:
        return LabelBinarizer().fit(classes)
    binarizer = LabelBinarizer().fit(sparse.eye_array(len(classes), dtype=int, format="csr"))
    binarizer.sparse_input_ = bool(is_sparse)
    return binarizer
