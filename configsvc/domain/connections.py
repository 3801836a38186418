"""Rules for the connections of clients."""

from dataclasses import dataclass

from configsvc.domain.peers import TrustedProxies


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
