"""Pairs of vectors above a cosine: exact search, or approximate search by a graph."""
