"""What the omni problems are made of: voices, sentences, pictures, films, tasks."""
