"""What all judging commands share: the targets, reading scores, a jury."""
