"""Scores calibrated by a fitted curve."""
