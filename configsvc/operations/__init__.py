"""Long-running operations: staged, queued, run and ended."""
