"""Long-running operations: how they begin, wait their turn, run and end."""
