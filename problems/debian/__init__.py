"""Parallel text of the Debian archive: apt as a client, and a reader a source."""
