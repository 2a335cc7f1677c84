"""The ONNX format.

::

    description -> tensors of its methods: kinds of operations, activations, outcomes, tables, models
                -> a model in a file, or a part of a pipeline that skl2onnx converts: file, pipelines

All formulas are arithmetic on ``tensors``, which adds nodes to a graph.
"""
