"""A training run: trainer, hooks, checkpoints."""
