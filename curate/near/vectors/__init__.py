"""Similarity of vectors: exact and graph search for near pairs."""
