"""Search over a model's next-token logits, and the decoder that texts go through."""
