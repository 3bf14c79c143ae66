"""The floor every step stands on: dataset directory, safe images, talking to a VLM, commands."""
