"""Composition root: turns settings into a running service, and shuts it down."""
