"""Two responses compared, in both orders."""
