"""What a call carries to prove who makes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token, and a client certificate in PEM whose key the peer has proved to hold. None: not sent."""

    token: str | None
    certificate: bytes | None
