"""Fitted estimators in formats of others, for prediction without fastbp.

``description`` turns an estimator into plain data; each format has a writer that walks it.
"""

from fastbp.export.c import to_c
from fastbp.export.onnx.file import to_onnx
from fastbp.export.onnx.pipelines import register_skl2onnx

__all__ = ["register_skl2onnx", "to_c", "to_onnx"]
