"""Reports of fitted estimators: one page of HTML that people look at, and findings for programs.

The data flow::

    subject.py      the estimator, the perceptron inside of it, the rows
        -> evidence.py      what is measured of them: outcomes.py, calibration.py, importances.py
        -> findings.py      the table of rules, which look at the evidence: rules/
        -> sections/        figures of the evidence, drawn with page/
        -> report.py        the page, and the text
"""

from fastbp.inspection.reports.findings import Finding
from fastbp.inspection.reports.report import Report, report

__all__ = ["Finding", "Report", "report"]
