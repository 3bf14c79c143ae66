"""Compiled loops (numba), one file a subject."""
