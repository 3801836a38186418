"""Fairness: how much of one process a single caller may use."""
