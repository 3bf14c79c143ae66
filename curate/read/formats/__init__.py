"""Row formats, one file each."""
