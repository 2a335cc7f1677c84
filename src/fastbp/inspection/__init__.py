"""Tools to inspect backpropagation: a trace of a pass, a gradient check, measurements during training, and displays;
reports of fitted estimators.

The displays need matplotlib, which they import when they draw. Reports need nothing else.
"""

from fastbp.inspection.gradient_check import GradientCheck, gradient_check
from fastbp.inspection.gradient_flow import GradientFlow, gradient_flow
from fastbp.inspection.gradient_flow_display import GradientFlowDisplay
from fastbp.inspection.graph_display import GraphDisplay
from fastbp.inspection.learning_rate_display import LearningRateDisplay
from fastbp.inspection.loss_curve_display import LossCurveDisplay
from fastbp.inspection.network_display import NetworkDisplay
from fastbp.inspection.reports import Finding, Report, report
from fastbp.inspection.trace import BackpropTrace, backprop_trace
from fastbp.inspection.weights_display import WeightsDisplay

__all__ = [
    "BackpropTrace",
    "Finding",
    "GradientCheck",
    "GradientFlow",
    "GradientFlowDisplay",
    "GraphDisplay",
    "LearningRateDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
    "Report",
    "WeightsDisplay",
    "backprop_trace",
    "gradient_check",
    "gradient_flow",
    "report",
]
