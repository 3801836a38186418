"""Validating configurations against schema versions."""
