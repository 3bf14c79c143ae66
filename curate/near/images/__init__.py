"""Similarity of images: perceptual hashes, pixels, copies."""
