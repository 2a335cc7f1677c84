"""Rules that look for what makes a model worse, by subject. Each is a function of the evidence that returns None, or
(title, message, advice); `fastbp.inspection.reports.findings` lists them."""

#: Rows from which on it can be told how a network does on them: on fewer, chance decides
ENOUGH_ROWS = 30
