"""A run as a standalone model."""
