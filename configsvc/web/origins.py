"""Who sends an HTTP request, and from where."""

from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import UnauthenticatedError, Violations
from configsvc.domain.models import Origin
from configsvc.domain.names import check_change_request
from configsvc.domain.peers import TrustedProxies
from configsvc.web.exchange import Exchange, Scope

_SCHEME = "bearer "


class OriginReader:
    """Reads the credentials, the address and the change request of a request."""

    def __init__(self, proxies: TrustedProxies, *, reads_tokens: bool) -> None:
        self._proxies = proxies
        self._reads_tokens = reads_tokens

    def peer(self, scope: Scope) -> str:
        """Return the address of the client, in the form that gRPC has."""
        client = scope.get("client")
        if client is None:
            peer = "unix:"
        else:
            host, port = client
            peer = f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
        if not self._proxies:
            return peer
        forwarded = (value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
        return self._proxies.client_of(peer, forwarded)

    def credentials(self, exchange: Exchange) -> Credentials:
        """Return the bearer token, if tokens are read at all. Raises UnauthenticatedError."""
        if not self._reads_tokens:
            return Credentials(None, None)
        values = [value for name, value in exchange.headers if name == b"authorization"]
        if not values:
            return Credentials(None, None)
        if len(values) > 1:
            raise UnauthenticatedError("the call has more than one authorization header")
        value = values[0].decode("latin-1")
        if value[: len(_SCHEME)].lower() != _SCHEME:
            raise UnauthenticatedError("the call's authorization header must be: Bearer TOKEN")
        return Credentials(value[len(_SCHEME) :].strip(" "), None)

    def origin(self, exchange: Exchange) -> Origin:
        """Return the address and the change request. Raises InvalidRequestError."""
        value = exchange.header(b"x-change-request") or ""
        with Violations() as violations:
            check_change_request(value, "x-change-request", violations)
        return Origin(peer=self.peer(exchange.scope), change_request=value)
