"""Sound, pictures, film and speech: read, written, synthesised, tokenised."""
