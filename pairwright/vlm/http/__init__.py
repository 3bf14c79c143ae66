"""The HTTP client of OpenAI-compatible servers."""
