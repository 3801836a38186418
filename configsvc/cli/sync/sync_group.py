"""All commands of `configsvc sync`, in the order of its help."""

from configsvc.cli.sync import agent_command, commands

app = commands.app

__all__ = ["agent_command", "app", "commands"]
