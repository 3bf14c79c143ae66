"""`curate decontaminate`: remove rows that a benchmark contains."""
