"""The instance that a command is in the list of watches."""

from importlib.metadata import version

from configsvc.client.settings import Instance


def instance_of(command: str) -> Instance:
    """Return the instance of a command that watches. Its id is by the rule of the client library."""
    return Instance(program=f"configsvc {command}", version=version("configsvc"))
