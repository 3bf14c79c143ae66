"""Responses scored by a rubric."""
