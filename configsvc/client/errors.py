"""Errors that a program meets when it reads configurations."""

from dataclasses import dataclass


class ConfigError(Exception):
    """An error of the client."""


class NotReadyError(ConfigError):
    """Nothing has arrived yet, and there is no copy from an earlier run."""


class StaleError(ConfigError):
    """The view is older than `stale_after`, and `on_stale` is "raise"."""


class StoppedError(ConfigError):
    """The client has stopped following: the service refuses it for good. `reason` is that of its ErrorInfo."""

    def __init__(self, message: str, *, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in a content that a model refuses: a JSON pointer (empty: the whole content), and what is wrong there."""

    pointer: str
    message: str


class RefusedError(ConfigError):
    """A model refuses the content of a configuration."""

    def __init__(self, name: str, faults: tuple[Fault, ...]) -> None:
        listed = "; ".join(f"{fault.pointer or 'the content'}: {fault.message}" for fault in faults[:10])
        super().__init__(f"{name} does not fit its model: {listed}")
        self.name = name
        self.faults = faults
