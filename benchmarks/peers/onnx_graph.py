"""ONNX Runtime with the graph of an exported perceptron: Gemm, activation, ..., Gemm, and ArgMax for classes."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from data import initial_parameters, make_data
from peers import given_threads, time_calls

OPERATORS = {"relu": "Relu", "tanh": "Tanh"}
ELEMENT_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
# Versions of the operators and of the file format that ONNX Runtime reads since 1.14.
OPSET, IR_VERSION = 18, 8


def make_model(workload, dtype):
    """Build the graph from `X` to `y`.

    Parameters
    ----------
    workload : workloads.Workload
        Layers, activation and task.
    dtype : {"float32", "float64"}
        Type of X and of the weights.

    Returns
    -------
    onnx.ModelProto
    """
    nodes, constants, A = [], [], "X"
    parameters = initial_parameters(workload.trained_layer_sizes, dtype)
    for i, (W, b) in enumerate(parameters):
        constants += [numpy_helper.from_array(W, f"W{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [A, f"W{i}", f"b{i}"], [f"Z{i}"]))
        A = f"Z{i}"
        if i < len(parameters) - 1:
            A = f"A{i}"
            nodes.append(helper.make_node(OPERATORS[workload.activation], [f"Z{i}"], [A]))
    element_type = ELEMENT_TYPES[dtype]
    output = helper.make_tensor_value_info(A, element_type, ["n", workload.trained_layer_sizes[-1]])
    if workload.task == "classification":
        nodes.append(helper.make_node("ArgMax", [A], ["y"], axis=1, keepdims=0))
        output = helper.make_tensor_value_info("y", TensorProto.INT64, ["n"])
    X = helper.make_tensor_value_info("X", element_type, ["n", workload.layer_sizes[0]])
    graph = helper.make_graph(nodes, "perceptron", [X], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def make_call(workload, dtype):
    """Prepare a call of the graph, from NumPy array to NumPy array.

    Parameters
    ----------
    workload, dtype
        As for `make_model`.

    Returns
    -------
    callable
        Without arguments.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = given_threads()
    session = onnxruntime.InferenceSession(
        make_model(workload, dtype).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"X": np.ascontiguousarray(make_data(workload, dtype)[0])}
    return lambda: session.run(None, feed)[0]


def predict(package, workload, dtype):
    """Prepare predictions of the class of all rows.

    Parameters
    ----------
    package : str
        Not used.
    workload : workloads.Workload
        Layers, activation and task.
    dtype : {"float32", "float64"}
        Type of X and of the weights.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    call = make_call(workload, dtype)

    def run(calls):
        for _ in range(calls):
            call()

    return run


def predict_row(package, workload, dtype):
    """Prepare predictions for one row, each timed by itself.

    Parameters
    ----------
    package, workload, dtype
        As for `predict`.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    return time_calls(make_call(workload, dtype))
