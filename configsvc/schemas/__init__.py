"""Schemas, their versions, and the configurations pinned to them."""
