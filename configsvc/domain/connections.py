"""Rules for the connections of clients."""

from dataclasses import dataclass

from configsvc.domain.peers import TrustedProxies

# Of a connection. A client that has as many waits with further calls, or opens another connection.
MAX_STREAMS = 1000
# A call's headers: room for two tokens.
MAX_METADATA_BYTES = 32 * 1024
# What a client may send on a stream before anybody asks for it.
STREAM_WINDOW_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """Rules that all servers of a process share.

    `shared_port`: other processes listen on the same port, with the same rule. Connections older than `age_seconds` are
    closed (0: none). `most`: of each server, at a time.
    """

    trusted_proxies: TrustedProxies
    shared_port: bool
    age_seconds: float
    most: int
