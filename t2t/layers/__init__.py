"""Layers in `keras.ops` only, so that they run on TensorFlow and on JAX.

Axis letters: B batch, T query time, S memory time, D model, H heads, G key/value
heads, K head size, F feed-forward, V vocabulary, C channels.
"""
