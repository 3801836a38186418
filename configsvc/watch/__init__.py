"""Watches: a snapshot or a position in the log, then every change after it."""
