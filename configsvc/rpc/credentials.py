"""Credentials and origin of a call, read from its metadata and its peer."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import InvalidRequestError, UnauthenticatedError, Violation
from configsvc.domain.models import Origin
from configsvc.domain.names import MAX_CHANGE_REQUEST_LENGTH
from configsvc.domain.peers import TrustedProxies
from configsvc.domain.traces import TRACE_KEY, trace_id_of
from configsvc.identity.authenticator import Authenticator

Context = grpc.aio.ServicerContext[bytes, bytes]
ReadCredentials = Callable[[Context], Credentials]
ReadPeer = Callable[[Context], str]

# A change request, ticket or commit that the change belongs to, in the words of the caller.
CHANGE_REQUEST_KEY = "x-change-request"
# The addresses that a call came from, in the words of the proxies on its way.
FORWARDED_KEY = "x-forwarded-for"

_CHANGE_REQUEST = re.compile(rf"[ -~]{{1,{MAX_CHANGE_REQUEST_LENGTH}}}")
_SCHEME = "bearer "
_NO_CREDENTIALS = Credentials(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReader:
    """Functions that read who makes a call, and from where."""

    credentials: ReadCredentials
    peer: ReadPeer

    def origin(self, context: Context) -> Origin:
        """Return the client's address and the change request of the call. Raises InvalidRequestError."""
        given = [value for key, value in context.invocation_metadata() or () if key == CHANGE_REQUEST_KEY]
        return Origin(peer=self.peer(context), change_request=_checked(given))


def call_reader(authenticator: Authenticator, proxies: TrustedProxies) -> CallReader:
    """Return the reader of calls that come directly, or through these proxies."""
    return CallReader(credentials=credentials_reader(authenticator), peer=_peer_reader(proxies))


def trace_id(context: Context) -> str:
    """Return the ID of the trace that the call belongs to; empty if its metadata name none."""
    return trace_id_of(value for key, value in context.invocation_metadata() or () if key == TRACE_KEY)


def _peer_reader(proxies: TrustedProxies) -> ReadPeer:
    """Return a function that reads the client's address, for logs and the audit trail, never for authentication."""

    def read(context: Context) -> str:
        forwarded = [value for key, value in context.invocation_metadata() or () if key == FORWARDED_KEY]
        return proxies.client_of(context.peer(), (value for value in forwarded if isinstance(value, str)))

    return read if proxies else lambda context: context.peer()


def credentials_reader(authenticator: Authenticator) -> ReadCredentials:
    """Return a function that reads what the authenticator verifies, and raises UnauthenticatedError.

    It reads nothing else: metadata is copied at each access, which takes microseconds of every call.
    """
    tokens, certificates = authenticator.reads_tokens, authenticator.reads_certificates

    def read(context: Context) -> Credentials:
        if certificates and (certificate := _client_certificate(context)):
            return Credentials(None, certificate)
        return Credentials(_bearer_token(context), None) if tokens else _NO_CREDENTIALS

    return read


def _client_certificate(context: Context) -> bytes | None:
    # gRPC has verified it: it accepts none on an address that requests none.
    return next(iter(context.auth_context().get("x509_pem_cert", ())), None)


def _bearer_token(context: Context) -> str | None:
    """Return the token of the call, if any. Raises UnauthenticatedError if the metadata is ambiguous or malformed."""
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if not values:
        return None
    if len(values) > 1:
        raise UnauthenticatedError("the call has more than one authorization header")
    (value,) = values
    if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the call's authorization header must be: Bearer TOKEN")
    return value[len(_SCHEME) :].strip(" ")


def _checked(given: list[str | bytes]) -> str:
    if not given:
        return ""
    value = given[0]
    if len(given) > 1 or not isinstance(value, str) or not _CHANGE_REQUEST.fullmatch(value):
        description = f"must occur once, with 1 to {MAX_CHANGE_REQUEST_LENGTH} printable ASCII characters"
        raise InvalidRequestError((Violation(field=CHANGE_REQUEST_KEY, description=description),))
    return value
