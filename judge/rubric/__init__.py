"""Rubrics: what a judge is asked, and how its prompt is rendered."""
