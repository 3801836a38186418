"""Processes: settings, start, exposure, shared ports, supervisor and workers."""
