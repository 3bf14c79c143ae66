"""What each sample trains, by rules."""
