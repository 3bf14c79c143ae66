"""Near-duplicates of texts, images and vectors; the commands of `curate` use it."""
