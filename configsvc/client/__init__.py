"""The client library: an application's configurations in memory, always the newest.

Importing it imports neither grpc nor protobuf, and making a client does no I/O.
"""

from configsvc.client.aio import ConfigClient
from configsvc.client.errors import ConfigError, Fault, NotReadyError, RefusedError, StaleError, StoppedError
from configsvc.client.reading import Configs
from configsvc.client.settings import Instance, Tls
from configsvc.client.store import Bound, Refusal, Status
from configsvc.client.view import Change, Configuration, Snapshot

__all__ = [
    "Bound",
    "Change",
    "ConfigClient",
    "ConfigError",
    "Configs",
    "Configuration",
    "Fault",
    "Instance",
    "NotReadyError",
    "Refusal",
    "RefusedError",
    "Snapshot",
    "StaleError",
    "Status",
    "StoppedError",
    "Tls",
]
