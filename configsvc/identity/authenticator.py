"""Who calls, by what its call carries."""

import grpc

from configsvc.domain.access import ANONYMOUS, Identity
from configsvc.domain.errors import UnauthenticatedError
from configsvc.identity.client_certificates import Certificates
from configsvc.identity.tokens import Tokens

Context = grpc.aio.ServicerContext[bytes, bytes]

_SCHEME = "bearer "


class Authenticator:
    """Finds out who calls; without tokens and certificates, nobody is asked. Who came with a certificate is whom it
    names, whatever token the call carries.
    """

    def __init__(self, tokens: Tokens | None, certificates: Certificates | None) -> None:
        self._tokens = tokens
        self._certificates = certificates
        self._open = tokens is None and certificates is None

    def known(self, context: Context) -> Identity | None:
        """Who calls, where that was found out before: this is on the way of every call. Raises UnauthenticatedError."""
        if self._open:
            return ANONYMOUS
        if self._certificates is not None and (certificate := _client_certificate(context)):
            return self._certificates.known(certificate)
        token = _bearer_token(context)
        return None if self._tokens is None or token is None else self._tokens.known(token)

    async def identify(self, context: Context) -> Identity:
        """Who calls. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        if self._open:
            return ANONYMOUS
        if self._certificates is not None and (certificate := _client_certificate(context)):
            return self._certificates.identify(certificate)
        if self._tokens is None:
            raise UnauthenticatedError("the connection carries no client certificate")
        token = _bearer_token(context)
        if token is None:
            raise UnauthenticatedError("the call carries no bearer token: send it as authorization: Bearer TOKEN")
        return await self._tokens.verify(token)


def _client_certificate(context: Context) -> bytes | None:
    """The certificate of the peer, in PEM, which gRPC has verified: it takes none on an address that asks for none."""
    return next(iter(context.auth_context().get("x509_pem_cert", ())), None)


def _bearer_token(context: Context) -> str | None:
    """The token of the call, if it carries one. Raises UnauthenticatedError if what it carries can be read in two ways,
    or in none.
    """
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if not values:
        return None
    if len(values) > 1:
        raise UnauthenticatedError("the call carries more than one authorization")
    (value,) = values
    if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the call's authorization is not like Bearer TOKEN")
    return value[len(_SCHEME) :].strip(" ")
