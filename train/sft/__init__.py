"""Training on samples."""
