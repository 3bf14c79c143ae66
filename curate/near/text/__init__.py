"""Similarity of texts: folding, shingles, MinHash."""
