"""Vectors of the images and texts of a dataset."""
