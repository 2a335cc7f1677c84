"""The sections of a report. Each is a function that makes a `Section` of the evidence; a new one is added to
`SECTIONS`, in the order of the page."""

from fastbp.inspection.reports.sections.features import features_section
from fastbp.inspection.reports.sections.model import model_section
from fastbp.inspection.reports.sections.predictions import predictions_section
from fastbp.inspection.reports.sections.training import training_section

SECTIONS = (
    predictions_section,
    features_section,
    training_section,
    model_section,
)
