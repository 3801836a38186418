"""What callers do with schemas and their versions."""
