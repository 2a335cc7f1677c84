"""The nodes of whole estimators: of a description, the tensors of its methods."""

from fastbp.export.onnx.kinds import forward
from fastbp.export.onnx.outcomes import tempered, tensors_of
from fastbp.export.onnx.tables import FLOAT64, encoded
from fastbp.export.outcomes import COVERAGE, MixtureOfClasses

#: Methods that a model has not unless it is asked for them
ON_REQUEST = ("predict_log_proba", "return_std", "predict_interval")


def checked_outputs(outputs, outcome):
    """The methods whose results are outputs of a model.

    Parameters
    ----------
    outputs : str, sequence of str or None
        None for all but those of ``ON_REQUEST``.
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
        return tuple(name for name in known if name not in ON_REQUEST)
    names = (outputs,) if isinstance(outputs, str) else outputs
    if not isinstance(names, (list, tuple)):
        raise TypeError(f"outputs must be a list of methods or None, got {outputs!r}")
    for name in names:
        if name not in known:
            raise ValueError(f"outputs must be among {', '.join(map(repr, known))} for this estimator, got {name!r}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"outputs must be one or several different methods, got {outputs!r}")
    return tuple(names)


def checked_coverage(coverage, outputs):
    """The coverage of intervals; ValueError for one that is given where the `outputs` have no intervals."""
    if coverage is None:
        return COVERAGE
    if "predict_interval" not in outputs:
        raise ValueError(
            f"coverage must be None unless 'predict_interval' is among the outputs, got coverage={coverage!r} and "
            f"outputs={list(outputs)}"
        )
    return coverage


def tensors_of_methods(outcome, outputs, coverage):
    """The tensors of several methods, in their order: a dict of name to function of (output, raw)."""
    found = {}
    for method in outputs:
        found |= tensors_of(outcome, method, coverage)
    return found


def perceptron_outputs(description, x, outputs):
    """The tensors of a Perceptron.

    Parameters
    ----------
    description : Perceptron
    x : Tensor of shape (n, n_features)
        X.
    outputs : tuple of str
        Methods.

    Returns
    -------
    dict of str to Tensor
        In the order of `outputs`.
    """
    network = description.network
    nodes = forward(network, x.cast(network.dtype))
    output, raw = nodes[network.output], nodes[network.raw_output]
    functions = tensors_of_methods(description.outcome, outputs, None)
    return {name: function(output, raw) for name, function in functions.items()}


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
    x = encoded(description.columns, inputs, missing_text)
    predict = member_probabilities if isinstance(description.outcome, MixtureOfClasses) else member_numbers
    first, *others = (predict(member, x) * member.weight for member in description.members)
    mixture = sum(others, first)
    functions = tensors_of_methods(description.outcome, outputs, coverage)
    return {name: function(mixture, mixture) for name, function in functions.items()}


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
