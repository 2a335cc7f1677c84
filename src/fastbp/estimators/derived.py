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
    attributes = vars(estimator)
    attributes.update(derived_attributes(attributes, as_loss(network.loss), network, is_sparse))
    if hasattr(estimator, "history_"):
        for name, column in COLUMNS_OF_RECORD.items():
            setattr(estimator, name, estimator.history_.get(column))
    estimator._adopt(network)


def derived_attributes(attributes, loss, network, is_sparse):
    """What predictions need, and follows from others.

    Parameters
    ----------
    attributes : dict
        Of a classifier ``classes_`` and ``_form``.
    loss : Loss
    network : Network or QuantizedNetwork
    is_sparse : bool
        As for `set_derived`.

    Returns
    -------
    dict
    """
    n_units = network.n_outputs
    derived = {
        "_fitted_loss": loss,
        "_n_units": n_units,
        "n_features_in_": network.layer_sizes[0],
        "n_layers_": len(network.layer_sizes),
        "n_outputs_": loss.predictions(np.zeros((1, n_units))).shape[1],
        "out_activation_": network.definition["output_activation"],
    }
    if "classes_" in attributes and attributes["_form"] != COLUMNS:
        binarizer = binarizer_of(attributes["classes_"], attributes["_form"], is_sparse)
        derived |= {"_label_binarizer": binarizer, "classes_": binarizer.classes_}
    return derived


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
    binarizer = LabelBinarizer().fit(sparse.identity(len(classes), dtype=int, format="csr"))
    binarizer.sparse_input_ = bool(is_sparse)
    return binarizer
