"""What comparing and ranking share: groups of responses, their prompt, strengths."""
