"""The feed: follows the log of one database and wakes whoever waits for it."""
