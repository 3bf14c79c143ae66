"""`curate dedup`: remove duplicates, list conflicting answers."""
