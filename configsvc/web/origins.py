"""Who sends an HTTP request, and from where."""

import re
from collections.abc import Iterable

from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import InvalidRequestError, UnauthenticatedError, Violation
from configsvc.domain.models import Origin
from configsvc.domain.names import MAX_CHANGE_REQUEST_LENGTH
from configsvc.domain.peers import TrustedProxies
from configsvc.domain.traces import TRACE_KEY, trace_id_of
from configsvc.identity.authenticator import Authenticator
from configsvc.web.exchange import Exchange, Scope

_SCHEME = "bearer "
_NO_CREDENTIALS = Credentials(None, None)
_CHANGE_REQUEST = re.compile(rf"[ -~]{{1,{MAX_CHANGE_REQUEST_LENGTH}}}")


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
        return self._proxies.client_of(peer, _values(scope, b"x-forwarded-for"))

    def credentials(self, exchange: Exchange) -> Credentials:
        """Return what the authenticator verifies, and nothing else. Raises UnauthenticatedError."""
        if self._reads_certificates and (tls := exchange.scope["extensions"].get("tls")):
            # The handshake has verified it.
            return Credentials(None, tls["client_cert_chain"][0].encode())
        return Credentials(_bearer_token(exchange.scope), None) if self._reads_tokens else _NO_CREDENTIALS

    def origin(self, exchange: Exchange) -> Origin:
        """Return the address and the change request. Raises InvalidRequestError."""
        given = [*_values(exchange.scope, b"x-change-request")]
        if given and (len(given) > 1 or not _CHANGE_REQUEST.fullmatch(given[0])):
            description = f"must occur once, with 1 to {MAX_CHANGE_REQUEST_LENGTH} printable ASCII characters"
            raise InvalidRequestError((Violation(field="x-change-request", description=description),))
        return Origin(peer=self.peer(exchange.scope), change_request=given[0] if given else "")


def trace_id(scope: Scope) -> str:
    """Return the ID of the trace that the request belongs to; empty if its headers name none."""
    return trace_id_of(_values(scope, TRACE_KEY.encode()))


def _values(scope: Scope, wanted: bytes) -> Iterable[str]:
    return (value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


def _bearer_token(scope: Scope) -> str | None:
    """Return the token, if any. Raises UnauthenticatedError if the headers are ambiguous or malformed."""
    values = [*_values(scope, b"authorization")]
    if not values:
        return None
    if len(values) > 1:
        raise UnauthenticatedError("the call has more than one authorization header")
    (value,) = values
    if value[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the call's authorization header must be: Bearer TOKEN")
    return value[len(_SCHEME) :].strip(" ")
