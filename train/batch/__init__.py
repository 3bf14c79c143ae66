"""From rows to tensors: images, token ids, collation."""
