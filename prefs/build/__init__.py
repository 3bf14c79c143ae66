"""Preference pairs from a dataset."""
