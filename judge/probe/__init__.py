"""How robust a judge is: injections, no image, another image."""
