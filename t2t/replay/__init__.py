"""The experience replay service: tables that actors fill and learners sample.

After Reverb (Cassirer et al., arXiv:2102.04736). Needs numpy and the standard
library only; `dataset` alone imports TensorFlow.

The way of a step: writer → frame → chunk in a store → item in a table, a window
over chunks → sampled, gathered → frame → batch. A committed chunk never changes:
all else follows from that.
"""
