"""`to_onnx`: a fitted estimator as a model in the ONNX format."""

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from fastbp.estimators import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastbp.export.description import Ensemble, describe
from fastbp.export.onnx.models import checked_coverage, checked_outputs, ensemble_outputs, perceptron_outputs
from fastbp.export.onnx.outcomes import shape_of
from fastbp.export.onnx.tables import TableInputs
from fastbp.export.onnx.tensors import TEXT, OnnxGraph, Tensor
from fastbp.kernels.dispatch import VERSION
from fastbp.network import Network
from fastbp.writing import write_atomically

if TYPE_CHECKING:
    from onnx import ModelProto

#: Versions of the operators: the oldest that has ReduceSum and Softmax in the form that all later ones have, which
#: onnxruntime has known since 2020; and of those for text in tables
OPSET, OPSET_ML = 13, 2
#: Version of the file format that belongs to these
IR_VERSION = 7
#: Bytes that a file of ONNX can have: the limit of Protocol Buffers
LARGEST_MODEL = 2**31 - 1
#: Type of what can be exported
Exportable = MLPClassifier | MLPRegressor | TabularMLPClassifier | TabularMLPRegressor | MLPEncoder | Network


def import_onnx():
    """The package onnx; ImportError that says how to install it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("to_onnx needs the package onnx: pip install 'fastbp[onnx]'") from error
    return onnx


class ModelGraph(OnnxGraph):
    """The graph of a model of its own."""

    def __init__(self):
        super().__init__()
        self.onnx = import_onnx()
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.input_names = set()

    def add_node(self, op_type, inputs, output, attributes):
        """See `OnnxGraph`."""
        self.nodes.append(self.onnx.helper.make_node(op_type, inputs, [output], name=output, **attributes))

    def add_constant(self, name, array):
        """See `OnnxGraph`."""
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))

    def type_of(self, dtype):
        """See `OnnxGraph`."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def new_name(self, what):
        """See `OnnxGraph`. Inputs have the names that users give their columns."""
        name = super().new_name(what)
        return self.new_name(what) if name in self.input_names else name

    def input(self, name, dtype, width):
        """A new input.

        Parameters
        ----------
        name : str
        dtype : numpy.dtype
        width : int
            Columns.

        Returns
        -------
        Tensor of shape (n, width)
        """
        self.input_names.add(name)
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, self.type_of(dtype), ["n", width]))
        return Tensor(self, name, dtype)

    def output(self, name, tensor, shape):
        """Make a tensor an output.

        Parameters
        ----------
        name : str
        tensor : Tensor
        shape : list of int or str
        """
        self.add_node("Identity", [tensor.name], name, {})
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, self.type_of(tensor.dtype), shape))

    def model(self, name):
        """The whole as a checked ModelProto; `name` tells what it is."""
        helper = self.onnx.helper
        n_bytes = sum(len(tensor.raw_data) for tensor in self.initializers)
        if n_bytes > LARGEST_MODEL:
            raise ValueError(
                f"the model has {n_bytes} bytes of parameters, and a file of ONNX holds {LARGEST_MODEL}: fit with "
                "dtype='float32', or with fewer units"
            )
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("ai.onnx.ml", OPSET_ML))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="fastbp",
            producer_version=VERSION,
        )
        self.onnx.checker.check_model(model, full_check=True)
        return model


def to_onnx(
    estimator: Exportable,
    path: str | PathLike[str] | None = None,
    *,
    outputs: str | list[str] | tuple[str, ...] | None = None,
    dtype: DTypeLike | None = None,
    coverage: float | None = None,
    missing_text: str = "",
) -> "ModelProto":
    """A fitted estimator as a model in the ONNX format, for prediction without Python and fastbp.

    The model computes what the estimator's methods compute now, with the same formulas in the same dtypes: outputs
    agree up to rounding. It is written for onnxruntime, and uses operators of version 13 only, for any number of rows.

    Where a method would raise an error for X, such as for infinities, or for NaN in a network that takes none, the
    model raises none, and its output means nothing.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, MLPEncoder, TabularMLPClassifier, TabularMLPRegressor or Network
        Fitted. Whole pipelines are for skl2onnx: see `fastbp.export.register_skl2onnx`.
    path : str, path or None, default=None
        Where to write the model, if it is given. A file that is there is written over, and is a whole one at any time.
    outputs : str, list of str or None, default=None
        Methods whose results the model has as outputs, in this order:

        - classifiers: "predict" as ``label``, "predict_proba" as ``probabilities``, "predict_log_proba" as
          ``log_probabilities``. None is the first two. For several columns of labels there are such outputs for each
          column: ``label_0``, ``label_1``, ``probabilities_0`` and so on;
        - regressors: "predict" as ``variable``, of shape (n, 1) for one target; with the loss 'gaussian'
          "return_std" as ``std``; for TabularMLPRegressor "predict_interval" as ``lower`` and ``upper``. None is the
          first one;
        - MLPEncoder: "transform" as ``variable``; Network: "forward" as ``variable``.
    dtype : {"float32", "float64"} or None, default=None
        Of the numbers in X. The outputs are those of the methods for an X of this dtype, and have their dtypes. None:
        that of the estimator's weights; for tables float64.
    coverage : float or None, default=None
        Of "predict_interval", above 0 and below 1. None for 0.9. It must be None without this output.
    missing_text : str, default=""
        What stands for a missing value in text columns of tables, in which ONNX has none. onnxruntime would make
        "None" and "nan" of None and NaN: fill them before.

    Returns
    -------
    onnx.ModelProto
        The input is ``X``, of shape (n, n_features). That of a tabular estimator which was fitted to a data frame is
        one tensor of shape (n, 1) for each column, with its name: of text for columns of text, else of numbers, of
        which NaN is missing; bools are 0 and 1. Without names, where some columns are text, they are ``x0``, ``x1``
        and so on.

    Raises
    ------
    TypeError
        For objects of other classes, and for what ONNX cannot express: labels that are bytes or of several types,
        categories that are bytes or text beside numbers.
    ValueError
        For `outputs` that the estimator does not have, a `coverage` without "predict_interval" or for which there were
        too few rows, a `missing_text` that is a category, a column with the name of an output or an empty one, and more
        than 2 GB of parameters.
    NotFittedError
    ImportError
        If the package onnx is not installed: ``pip install fastbp[onnx]``.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import MLPRegressor, to_onnx
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = MLPRegressor(tol=0.1, random_state=0).fit(X, X[:, 0])
    >>> [output.name for output in to_onnx(model).graph.output]
    ['variable']
    """
    if path is not None and not isinstance(path, (str, PathLike)):
        raise TypeError(f"path must be a str, a path or None, got {type(path).__name__}")
    if not isinstance(missing_text, str):
        raise TypeError(f"missing_text must be a str, got {missing_text!r}")
    description = describe(estimator, dtype)
    outputs = checked_outputs(outputs, description.outcome)
    coverage = checked_coverage(coverage, outputs)
    graph = ModelGraph()
    if isinstance(description, Ensemble):
        found = ensemble_outputs(description, table_inputs(description, graph), outputs, coverage, missing_text)
    else:
        x = graph.input("X", description.dtype, description.n_features)
        found = perceptron_outputs(description, x, outputs)
    for name, tensor in found.items():
        if name in graph.input_names:
            raise ValueError(
                f"the column {name!r} of X has the name of an output of the model, which ONNX does not allow: rename "
                "the column, and fit anew"
            )
        graph.output(name, tensor, shape_of(name, description.outcome))
    model = graph.model(type(estimator).__name__)
    if path is not None:
        write_atomically(path, model.SerializeToString())
    return model


def table_inputs(description, graph):
    """The inputs of an Ensemble: a matrix, or a tensor for each column; ValueError for one without a name."""
    columns, dtype = description.columns, description.dtype
    if description.is_matrix:
        return TableInputs([(graph.input("X", dtype, len(columns)), len(columns))])
    names = [column.name for column in columns]
    if "" in names:
        raise ValueError(
            f"column {names.index('')} of X has the name '', which ONNX does not allow for an input: rename "
            "the column, and fit anew"
        )
    return TableInputs([(graph.input(column.name, TEXT if column.is_text else dtype, 1), 1) for column in columns])
