"""Watches: a snapshot or a log position, then every change after it."""
