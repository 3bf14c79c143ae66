"""`curate select`: choose a budget of rows, good, diverse and balanced over tasks."""
