"""See inside backpropagation: a trace of every number, a check by differences, the picture of a graph.

The display needs matplotlib only when it draws.
"""

from fastbp.inspection.gradient_check import GradientCheck, gradient_check
from fastbp.inspection.graph_display import ComputationalGraphDisplay
from fastbp.inspection.trace import BackpropTrace, backprop_trace

__all__ = ["BackpropTrace", "ComputationalGraphDisplay", "GradientCheck", "backprop_trace", "gradient_check"]
