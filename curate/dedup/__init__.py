"""Drop duplicates; list conflicting answers."""
