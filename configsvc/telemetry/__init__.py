"""Logs, metrics and traces: what a process reports about itself."""
