"""Ways to make preference pairs: one module a method, frames in, frames out."""
