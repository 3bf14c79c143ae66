"""Rows of any usual format into tables of a dataset."""
