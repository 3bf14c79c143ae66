"""Exports for the loaders of other projects: LLaVA, LLaMA-Factory, ms-swift, TRL, RLHF-V."""
