"""Training on preference pairs."""
