"""Runs in the forms in which they are used elsewhere."""
