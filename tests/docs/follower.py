"""The program in the guide, as a module: other tests run it as it stands."""

from collections.abc import Awaitable, Callable
from types import ModuleType

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from tests.docs.test_guide import block

View = dict[str, Configuration]
Follow = Callable[[str, WatchConfigurationsRequest, View, Callable[[View, int], None]], Awaitable[None]]

GUIDE = "docs/guide/watch.md"
README = "README.md"


def program() -> ModuleType:
    """Return the program as a module of its own, whose settings a test may change."""
    module = ModuleType("follow")
    exec(compile(block(GUIDE, "python"), GUIDE, "exec"), module.__dict__)  # it is ours
    return module


def follow_of(module: ModuleType) -> Follow:
    """Return the function that keeps a copy."""
    return module.follow


def short_program() -> ModuleType:
    """Return the function of the README, with what its imports would bring."""
    module = program()
    exec(compile(block(README, "python"), README, "exec"), module.__dict__)  # it is ours
    return module
