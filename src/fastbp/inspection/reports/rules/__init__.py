"""Rules that look for what makes a model worse, by subject. Each is a function of the evidence that returns None, or
(title, message, advice); `fastbp.inspection.reports.findings` lists them."""
