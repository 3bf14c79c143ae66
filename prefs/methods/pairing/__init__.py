"""What the methods share: candidates, picks, their order, their limits, controls."""
