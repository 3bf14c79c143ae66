"""How robust a judge is: prompt injections, no image, another image."""
