"""Optimizers by name and the learning-rate schedules that are products of factors."""
