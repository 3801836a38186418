"""The write path: group commits, atomic batches, and the transactions of both."""
