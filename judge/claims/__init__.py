"""Responses claim by claim against the image."""
