"""Work that would block the event loop, run in threads and in other processes."""
