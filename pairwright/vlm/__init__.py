"""Talking to a vision-language model: start vLLM, ask any OpenAI-compatible server, or run a small model in process."""
