"""Who sends an HTTP request, and from where."""

from collections.abc import Iterable

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
from configsvc.identity.authenticator import Authenticator
from configsvc.web.exchange import Exchange, Scope

_NO_CREDENTIALS = Credentials(None, None)


class OriginReader:
    """Reads the credentials, the address and the change request of a request."""

    def __init__(self, proxies: TrustedProxies, authenticator: Authenticator) -> None:
        self._proxies = proxies
        self._reads_tokens = authenticator.reads_tokens
        self._reads_certificates = authenticator.reads_certificates

    def peer(self, scope: Scope) -> str:
        """Return the address of the client, in the form that gRPC has."""
        host, port = scope["client"] or ("", 0)
        peer = f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
        if not self._proxies:
            return peer
        return self._proxies.client_of(peer, _values(scope, FORWARDED_KEY.encode()))

    def credentials(self, exchange: Exchange) -> Credentials:
        """Return what the authenticator verifies, and nothing else. Raises UnauthenticatedError."""
        if self._reads_certificates and (tls := exchange.scope["extensions"].get("tls")):
            # The handshake has verified it.
            return Credentials(None, tls["client_cert_chain"][0].encode())
        if not self._reads_tokens:
            return _NO_CREDENTIALS
        return Credentials(bearer_token([*_values(exchange.scope, AUTHORIZATION_KEY.encode())]), None)

    def origin(self, exchange: Exchange) -> Origin:
        """Return the address and the change request. Raises InvalidRequestError."""
        given = change_request([*_values(exchange.scope, CHANGE_REQUEST_KEY.encode())])
        return Origin(peer=self.peer(exchange.scope), change_request=given)


def trace_id(scope: Scope) -> str:
    """Return the ID of the trace that the request belongs to; empty if its headers name none."""
    return trace_id_of(_values(scope, TRACE_KEY.encode()))


def _values(scope: Scope, wanted: bytes) -> Iterable[str]:
    return (value.decode("latin-1") for name, value in scope["headers"] if name == wanted)
