"""The system card of an omni run: measured, page and JSON, two runs the same bytes."""
