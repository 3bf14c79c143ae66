"""Copies of images: near perceptual hashes, confirmed by the pixels."""
