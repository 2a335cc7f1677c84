"""Looking into networks and graphs: displays, which need matplotlib only when they draw."""

from fastbp.inspection.graph_display import ComputationalGraphDisplay

__all__ = ["ComputationalGraphDisplay"]
