"""CLIP models and their preprocessing."""
