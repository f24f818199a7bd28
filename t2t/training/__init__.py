"""Devices, the one step, checkpoints, the loop and its report."""
