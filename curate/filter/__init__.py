"""Drop samples by rules about their images, texts and scores."""
