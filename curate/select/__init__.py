"""Choose a budget of rows: good, different from each other, of every task."""
