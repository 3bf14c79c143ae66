"""The rules of `curate filter`, one file each."""
