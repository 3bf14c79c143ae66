"""Candidate responses of a policy."""
