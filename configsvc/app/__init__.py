"""The composition root: settings to a running service, and its orderly end."""
