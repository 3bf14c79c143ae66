"""`curate embed`: vectors of images and texts."""
