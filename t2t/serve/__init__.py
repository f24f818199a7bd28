"""A run behind HTTP and WebSockets, in OpenAI's forms."""
