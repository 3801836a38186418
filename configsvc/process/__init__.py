"""A process from its start to its end: settings, ports, signals, workers."""
