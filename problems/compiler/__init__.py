"""Compilers as problems: real programs, and the decisions that are made on them."""
