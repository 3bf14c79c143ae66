"""An annotation page for human labels."""
