"""Fitted estimators in formats of others, for prediction without fastbp.

``description`` turns an estimator into plain data; each format has a writer that walks it.
"""

from fastbp.export.onnx_file import to_onnx

__all__ = ["to_onnx"]
