"""All commands of `configsvc config`, in the order of its help."""

from configsvc.cli import comparing, configurations, editing, transfers, values, watching

app = configurations.app

__all__ = ["app", "comparing", "editing", "transfers", "values", "watching"]
