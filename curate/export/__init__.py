"""Kept samples or pairs as files for the Hub and for other loaders, and their upload."""
