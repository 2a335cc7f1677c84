"""Fitted estimators in formats of others, for prediction without fastbp.

``description`` turns an estimator into plain data; each format has a writer that walks it.
"""
