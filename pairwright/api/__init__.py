"""What `import pairwright as pw` offers: the commands as functions, datasets and results."""
