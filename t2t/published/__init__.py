"""Weights that others published, in and out, by tables of names."""
