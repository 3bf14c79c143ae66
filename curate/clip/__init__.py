"""A CLIP model and its preprocessing: vectors of images and texts."""
