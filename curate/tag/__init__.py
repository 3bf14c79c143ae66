"""`curate tag`: the tasks of each sample, by rules."""
