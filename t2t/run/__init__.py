"""A run: the folder that describes itself, and what is built from it."""
