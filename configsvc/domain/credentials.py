"""The credentials of a call."""

from typing import NamedTuple


# Not a frozen dataclass: every call makes one, and a tuple takes half as long.
class Credentials(NamedTuple):
    """A bearer token, and a client certificate in PEM whose key the peer has proved to own. None: not sent."""

    token: str | None
    certificate: bytes | None
