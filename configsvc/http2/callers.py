"""Who makes a call, and from where: by the headers of its stream and the peer of its connection."""

from dataclasses import dataclass

from configsvc.api.call_headers import (
    AUTHORIZATION_KEY,
    CHANGE_REQUEST_KEY,
    FORWARDED_KEY,
    bearer_token,
    change_request,
)
from configsvc.domain.credentials import Credentials
from configsvc.domain.models import Origin
from configsvc.domain.peers import TrustedProxies
from configsvc.domain.traces import TRACE_KEY, trace_id_of
from configsvc.http2.heads import Pairs, values_of
from configsvc.identity.authenticator import Authenticator

_AUTHORIZATION, _CHANGE_REQUEST = AUTHORIZATION_KEY.encode(), CHANGE_REQUEST_KEY.encode()
_FORWARDED, _TRACE = FORWARDED_KEY.encode(), TRACE_KEY.encode()
# What log lines are made of, at the end of a call.
LASTING_HEADERS = frozenset({_FORWARDED, _TRACE})
_NO_CREDENTIALS = Credentials(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end of a connection: its address as gRPC writes it, and its certificate in PEM if it has one."""

    address: str
    certificate: bytes | None


class CallerReader:
    """Reads the credentials, the address and the change request of a call."""

    def __init__(self, authenticator: Authenticator, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._reads_tokens = authenticator.reads_tokens
        self._reads_certificates = authenticator.reads_certificates

    def address(self, peer: Peer, pairs: Pairs) -> str:
        """Return the client's address, for logs and the audit trail, never for authentication."""
        if not self._proxies:
            return peer.address
        return self._proxies.client_of(peer.address, values_of(pairs, _FORWARDED))

    def credentials(self, peer: Peer, pairs: Pairs) -> Credentials:
        """Return what the authenticator verifies, and nothing else. Raises UnauthenticatedError."""
        if self._reads_certificates and peer.certificate:
            # The handshake has verified it.
            return Credentials(None, peer.certificate)
        if not self._reads_tokens:
            return _NO_CREDENTIALS
        return Credentials(bearer_token(values_of(pairs, _AUTHORIZATION)), None)

    def origin(self, peer: Peer, pairs: Pairs) -> Origin:
        """Return the address and the change request. Raises InvalidRequestError."""
        given = change_request(values_of(pairs, _CHANGE_REQUEST))
        return Origin(peer=self.address(peer, pairs), change_request=given)


def trace_id(pairs: Pairs) -> str:
    """Return the ID of the trace that a call belongs to; empty if its headers name none."""
    return trace_id_of(values_of(pairs, _TRACE))
