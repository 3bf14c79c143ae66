"""Texts: conversations, word diffs, HTML escapes."""
