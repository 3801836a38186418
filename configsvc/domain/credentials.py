"""The credentials of a call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token, and a client certificate in PEM whose key the peer has proved to own. None: not sent."""

    token: str | None
    certificate: bytes | None
