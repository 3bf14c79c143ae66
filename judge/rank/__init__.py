"""All responses to a question ranked at once."""
