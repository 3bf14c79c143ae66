"""Drop the rows that a benchmark contains."""
