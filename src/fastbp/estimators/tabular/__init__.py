"""Estimators for tables: data frames with numbers, categories and missing values."""
