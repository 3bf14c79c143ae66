"""Metrics of a model on samples or pairs."""
