"""Credentials and origin of a call, read from its metadata and its peer."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

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

Context = grpc.aio.ServicerContext[bytes, bytes]
ReadCredentials = Callable[[Context], Credentials]
ReadPeer = Callable[[Context], str]

_NO_CREDENTIALS = Credentials(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReader:
    """Functions that read who makes a call, and from where."""

    credentials: ReadCredentials
    peer: ReadPeer

    def origin(self, context: Context) -> Origin:
        """Return the client's address and the change request of the call. Raises InvalidRequestError."""
        given = [value for key, value in context.invocation_metadata() or () if key == CHANGE_REQUEST_KEY]
        return Origin(peer=self.peer(context), change_request=change_request(given))


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
        if not tokens:
            return _NO_CREDENTIALS
        given = [value for key, value in context.invocation_metadata() or () if key == AUTHORIZATION_KEY]
        return Credentials(bearer_token(given), None)

    return read


def _client_certificate(context: Context) -> bytes | None:
    # gRPC has verified it: it accepts none on an address that requests none.
    return next(iter(context.auth_context().get("x509_pem_cert", ())), None)
