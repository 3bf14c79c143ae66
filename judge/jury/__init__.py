"""Scores of several judges joined."""
