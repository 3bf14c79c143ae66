"""What `judge compare` and `judge rank` share: groups of responses, their prompt, strengths."""
