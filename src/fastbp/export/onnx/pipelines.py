"""`register_skl2onnx`: converters for skl2onnx, so that it converts pipelines with estimators of fastbp.

skl2onnx calls a parser, which declares the outputs of an estimator, then a shape calculator, which gives them types,
and then a converter, which adds the nodes.
"""

from dataclasses import replace

import numpy as np
from sklearn.base import is_classifier

from fastbp.estimators import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastbp.export.description import Ensemble, describe
from fastbp.export.onnx.file import OPSET, OPSET_ML
from fastbp.export.onnx.models import (
    checked_coverage,
    checked_outputs,
    ensemble_outputs,
    perceptron_outputs,
    tensors_of_methods,
)
from fastbp.export.onnx.outcomes import dtype_of, shape_of
from fastbp.export.onnx.tables import FLOAT32, FLOAT64, TableInputs
from fastbp.export.onnx.tensors import BOOL, INT64, TEXT, OnnxGraph, Tensor
from fastbp.export.outcomes import BOOLEANS, FLOATS, INTEGERS, ColumnsOfClasses, Labels

#: The estimators that a pipeline can have
ESTIMATORS = (MLPClassifier, MLPRegressor, MLPEncoder, TabularMLPClassifier, TabularMLPRegressor)
#: Options of all, with their defaults; skl2onnx takes any value of None in their place
OPTIONS = {"outputs": None, "coverage": None, "missing_text": ""}
#: Options of the classifiers, which skl2onnx itself heeds, with the values that they can have
OPTIONS_OF_CLASSIFIERS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


def import_skl2onnx():
    """The package skl2onnx; ImportError that says how to install it."""
    try:
        import skl2onnx
    except ImportError as error:
        raise ImportError("register_skl2onnx needs the package skl2onnx: pip install 'fastbp[onnx]'") from error
    return skl2onnx


class ContainerGraph(OnnxGraph):
    """The graph that skl2onnx makes.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Gives names.
    container : skl2onnx.common._container.ModelComponentContainer
        Takes nodes.
    """

    def __init__(self, scope, container):
        super().__init__()
        self.scope, self.container = scope, container

    def add_node(self, op_type, inputs, output, attributes):
        """See `OnnxGraph`."""
        attributes = dict(attributes)
        domain = attributes.pop("domain", "")
        # without a version, skl2onnx takes one of ai.onnx.ml that it does not support itself
        version = OPSET_ML if domain else None
        name = self.scope.get_unique_operator_name(op_type)
        self.container.add_node(
            op_type, inputs, [output], op_domain=domain, op_version=version, name=name, **attributes
        )

    def add_constant(self, name, array):
        """See `OnnxGraph`."""
        content = array.ravel().tolist() if array.dtype == TEXT else array.ravel()
        self.container.add_initializer(name, self.type_of(array.dtype), list(array.shape), content)

    def type_of(self, dtype):
        """See `OnnxGraph`."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return np_dtype_to_tensor_dtype(np.dtype(dtype))

    def new_name(self, what):
        """See `OnnxGraph`."""
        return self.scope.get_unique_variable_name(what)


def register_skl2onnx() -> None:
    """Let skl2onnx convert the estimators of fastbp, also in pipelines and column transformers.

    It need be called once, before ``skl2onnx.to_onnx`` or ``skl2onnx.convert_sklearn``; nothing of skl2onnx is changed
    for other estimators. The models need ``target_opset`` 13 or newer.

    Outputs are as skl2onnx names and types them: ``label`` of int64 or text, ``probabilities`` and ``variable`` of the
    type of the pipeline's numbers. The arithmetic in between is in the dtypes of the estimator's methods.

    Options of ``skl2onnx.to_onnx(..., options={id(estimator): {...}})`` are these:

    - zipmap, output_class_labels: as for the classifiers of scikit-learn;
    - nocl: the labels are the numbers of the classes;
    - outputs: methods whose results are outputs, tensors without a ZipMap, as those of `fastbp.to_onnx`;
    - coverage, missing_text: as those of `fastbp.to_onnx`.

    Raises
    ------
    ImportError
        If skl2onnx is not installed: ``pip install fastbp[onnx]``.

    See Also
    --------
    fastbp.to_onnx : For an estimator without a pipeline; it needs the package onnx only.

    Examples
    --------
    >>> import numpy as np, skl2onnx
    >>> from fastbp import MLPRegressor
    >>> from fastbp.export import register_skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    >>> model = make_pipeline(StandardScaler(), MLPRegressor(tol=0.1, random_state=0)).fit(X, X[:, 0])
    >>> register_skl2onnx()
    >>> [output.name for output in skl2onnx.to_onnx(model, X[:1]).graph.output]
    ['variable']
    """
    skl2onnx = import_skl2onnx()
    for cls in ESTIMATORS:
        options = dict.fromkeys(OPTIONS)
        if is_classifier(cls()):
            options |= OPTIONS_OF_CLASSIFIERS
        skl2onnx.update_registered_converter(
            cls, f"Fastbp{cls.__name__}", set_types, add_nodes, parser=declare_outputs, options=options
        )


def options_of(scope, estimator):
    """The options of an estimator, as a dict with all of ``OPTIONS``, and nocl."""
    defaults = OPTIONS | ({"nocl": False} if is_classifier(estimator) else {})
    return scope.get_options(estimator, dict(defaults))


def declare_outputs(scope, model, inputs, custom_parsers=None):
    """Parser: the outputs by their names, whose types follow later.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
    model : object
        An estimator.
    inputs : list of skl2onnx.common._topology.Variable
    custom_parsers : dict or None

    Returns
    -------
    list of Variable
    """
    from skl2onnx import get_model_alias
    from skl2onnx._parse import _parse_sklearn_classifier
    from skl2onnx.common.data_types import FloatTensorType

    options = options_of(scope, model)
    outcome = describe(model).outcome
    if is_classifier(model) and options["outputs"] is None and not isinstance(outcome, ColumnsOfClasses):
        return _parse_sklearn_classifier(scope, model, inputs, custom_parsers=custom_parsers)
    outputs = checked_outputs(options["outputs"], outcome)
    operator = scope.declare_local_operator(get_model_alias(type(model)), model)
    operator.inputs = inputs
    for name in tensors_of_methods(outcome, outputs, options["coverage"]):
        operator.outputs.append(scope.declare_local_variable(name, FloatTensorType()))
    return operator.outputs


def described(operator):
    """What the estimator of an operator computes, and its options.

    Parameters
    ----------
    operator : skl2onnx.common._topology.Operator

    Returns
    -------
    description : Perceptron or Ensemble
        For X in the types of the inputs. Labels are integers or text, the types that skl2onnx has for them.
    options : dict
        With ``outputs`` as a tuple, and ``coverage`` as a number.
    """
    options = options_of(operator.scope_inst, operator.raw_operator)
    dtypes = [dtype_of_variable(variable) for variable in operator.inputs]
    # as the methods, which convert integers and bools to float64
    is_single = all(dtype == FLOAT32 for dtype in dtypes if dtype != TEXT)
    description = describe(operator.raw_operator, FLOAT32 if is_single else FLOAT64)
    outcome = with_plain_labels(description.outcome, options.get("nocl"))
    outputs = checked_outputs(options["outputs"], outcome)
    coverage = checked_coverage(options["coverage"], outputs)
    return replace(description, outcome=outcome), options | {"outputs": outputs, "coverage": coverage}


def with_plain_labels(outcome, nocl):
    """An outcome with the labels that skl2onnx has: integers in place of bools and floats, and, with the option nocl,
    numbers of the classes."""
    if isinstance(outcome, ColumnsOfClasses):
        return replace(outcome, columns=tuple(with_plain_labels(column, nocl) for column in outcome.columns))
    labels = getattr(outcome, "labels", None)
    if labels is None:
        return outcome
    if nocl:
        return replace(outcome, labels=Labels(INTEGERS, list(range(len(labels.values)))))
    if labels.kind in (BOOLEANS, FLOATS):
        return replace(outcome, labels=Labels(INTEGERS, list(map(int, labels.values))))
    return outcome


def dtype_of_variable(variable):
    """The dtype of an input: float32, float64, int64, bool, or object for text.

    Raises
    ------
    TypeError
        For other types.
    """
    from skl2onnx.common import data_types

    dtypes = {
        data_types.FloatTensorType: FLOAT32,
        data_types.DoubleTensorType: FLOAT64,
        data_types.Int64TensorType: INT64,
        data_types.Int32TensorType: np.dtype(np.int32),
        data_types.BooleanTensorType: BOOL,
        data_types.StringTensorType: TEXT,
    }
    if type(variable.type) not in dtypes:
        raise TypeError(f"the input {variable.raw_name!r} must hold numbers or text, got {variable.type}")
    return dtypes[type(variable.type)]


def dtype_of_numbers(operator):
    """The dtype of an operator's outputs that are numbers: that of its first input, of others than floats float32."""
    dtype = dtype_of_variable(operator.inputs[0])
    return dtype if dtype == FLOAT64 else FLOAT32


def set_types(operator):
    """Shape calculator: the types and shapes of the outputs.

    Parameters
    ----------
    operator : skl2onnx.common._topology.Operator
    """
    from skl2onnx.common import data_types

    types = {
        FLOAT32: data_types.FloatTensorType,
        FLOAT64: data_types.DoubleTensorType,
        INT64: data_types.Int64TensorType,
        TEXT: data_types.StringTensorType,
    }
    description, options = described(operator)
    outcome, n_rows = description.outcome, operator.inputs[0].get_first_dimension()
    names = tensors_of_methods(outcome, options["outputs"], options["coverage"])
    for name, variable in zip(names, operator.outputs, strict=True):
        _, *columns = shape_of(name, outcome)
        variable.type = types[dtype_of(name, outcome, dtype_of_numbers(operator))]([n_rows, *columns])


def add_nodes(scope, operator, container):
    """Converter: the nodes of an estimator.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
    operator : skl2onnx.common._topology.Operator
    container : skl2onnx.common._container.ModelComponentContainer

    Raises
    ------
    RuntimeError
        For older operators than those that are needed.
    TypeError, ValueError
        As `fastbp.to_onnx`, and for inputs that do not have the columns of fit.
    """
    if container.target_opset < OPSET:
        raise RuntimeError(f"estimators of fastbp need target_opset={OPSET} or newer, got {container.target_opset}")
    description, options = described(operator)
    graph = ContainerGraph(scope, container)
    inputs = TableInputs([part_of_input(graph, variable) for variable in operator.inputs])
    is_table = isinstance(description, Ensemble)
    n_columns = len(description.columns) if is_table else description.n_features
    if inputs.n_columns != n_columns:
        name = type(operator.raw_operator).__name__
        raise ValueError(f"{name} was fitted to {n_columns} columns, and its inputs have {inputs.n_columns}")
    if is_table:
        names = options["outputs"], options["coverage"], options["missing_text"]
        found = ensemble_outputs(description, inputs, *names)
    else:
        x = inputs.columns(range(n_columns), description.dtype)
        found = perceptron_outputs(description, x, options["outputs"])
    for name, variable in zip(found, operator.outputs, strict=True):
        dtype = dtype_of(name, description.outcome, dtype_of_numbers(operator))
        graph.add_node("Identity", [found[name].cast(dtype).name], variable.full_name, {})


def part_of_input(graph, variable):
    """An input as a Tensor, and how many columns it has."""
    shape = variable.type.shape
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(f"the input {variable.raw_name!r} must have a known number of columns, got the shape {shape}")
    return Tensor(graph, variable.full_name, dtype_of_variable(variable)), shape[1]
