"""The nodes of whole estimators: of a description, the tensors of its methods."""

from fastbp.export.description import Ensemble
from fastbp.export.onnx_kinds import forward
from fastbp.export.onnx_outputs import METHODS, interval, tempered
from fastbp.export.onnx_tables import FLOAT64, encoded
from fastbp.export.outcomes import MixtureOfClasses


def checked_outputs(outputs, outcome):
    """The methods whose outputs a model has.

    Parameters
    ----------
    outputs : str, sequence of str or None
        None for `predict`, of classifiers `predict_proba` too.
    outcome : object
        Of a description.

    Returns
    -------
    tuple of str

    Raises
    ------
    TypeError, ValueError
        For anything but different methods that there are.
    """
    known = outcome.methods
    if outputs is None:
        return tuple(name for name in known if name not in ("predict_log_proba", "return_std", "predict_interval"))
    names = (outputs,) if isinstance(outputs, str) else outputs
    if not isinstance(names, (list, tuple)):
        raise TypeError(f"outputs must be a list of methods or None, got {outputs!r}")
    for name in names:
        if name not in known:
            raise ValueError(f"outputs must be among {', '.join(map(repr, known))} for this estimator, got {name!r}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"outputs must be one or several different methods, got {outputs!r}")
    return tuple(names)


def perceptron_outputs(description, x, outputs):
    """The tensors of a Perceptron.

    Parameters
    ----------
    description : Perceptron
    x : Tensor of shape (n, n_features)
        X, in the first dtype of the description.
    outputs : tuple of str
        Methods.

    Returns
    -------
    dict of str to Tensor
        In the order of `outputs`.
    """
    for dtype in description.dtypes:
        x = x.cast(dtype)
    network, outcome, found = description.network, description.outcome, {}
    nodes = forward(network, x)
    for method in outputs:
        found |= METHODS[type(outcome)][method](outcome, nodes[network.output], nodes[network.raw_output])
    return found


def ensemble_outputs(description, inputs, outputs, coverage, missing_text):
    """The tensors of an Ensemble.

    Parameters
    ----------
    description : Ensemble
    inputs : TableInputs
    outputs : tuple of str
        Methods.
    coverage : float
        Of `predict_interval`.
    missing_text : str
        What stands for missing in columns of text.

    Returns
    -------
    dict of str to Tensor
    """
    outcome, found = description.outcome, {}
    predict = member_probabilities if isinstance(outcome, MixtureOfClasses) else member_numbers
    x, mixture = encoded(description.columns, inputs, missing_text), None
    for member in description.members:
        share = predict(member, x) * member.weight
        mixture = share if mixture is None else mixture + share
    for method in outputs:
        if method == "predict_interval":
            found |= interval(outcome, mixture, coverage)
        else:
            found |= METHODS[type(outcome)][method](outcome, mixture, None)
    return found


def member_numbers(member, x):
    """What a member predicts, as float64."""
    return perceptron_outputs(member.model, x, ("predict",))["variable"].cast(FLOAT64)


def member_probabilities(member, x):
    """What a member predicts, without smoothing and with its temperature, as float64."""
    p = perceptron_outputs(member.model, x, ("predict_proba",))["probabilities"].cast(FLOAT64)
    if member.label_smoothing:
        share = member.label_smoothing / len(member.model.outcome.labels.values)
        raised = (p - share).apply("Max", 0.1 * share)
        p = raised / raised.sum()
    return tempered(p, member.temperature)


def is_table(description):
    """Whether an estimator reads a table of columns."""
    return isinstance(description, Ensemble)
