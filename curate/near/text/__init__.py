"""Texts: folding, shingles and MinHash signatures."""
