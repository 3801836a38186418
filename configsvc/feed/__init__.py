"""The feed: follows the log of one database, and wakes those waiting for new commits."""
