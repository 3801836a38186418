"""Authentication: from the credentials of a call to an identity."""

from typing import TYPE_CHECKING

from configsvc.domain.access import ANONYMOUS, Identity
from configsvc.domain.credentials import Credentials
from configsvc.domain.errors import UnauthenticatedError

if TYPE_CHECKING:
    from configsvc.identity.client_certificates import Certificates
    from configsvc.identity.tokens import Tokens


class Authenticator:
    """Identifies callers by token or certificate; without either verifier, every caller is anonymous.

    A certificate takes precedence over a token.
    """

    def __init__(self, tokens: "Tokens | None", certificates: "Certificates | None") -> None:
        self._tokens = tokens
        self._certificates = certificates
        self._open = tokens is None and certificates is None

    @property
    def reads_tokens(self) -> bool:
        """True if tokens are accepted; otherwise a transport need not read them."""
        return self._tokens is not None

    @property
    def reads_certificates(self) -> bool:
        """True if client certificates are accepted; otherwise a transport need not read them."""
        return self._certificates is not None

    def known(self, credentials: Credentials) -> Identity | None:
        """Return the identity if it is cached. Every call takes this path, so it does not suspend."""
        if self._open:
            return ANONYMOUS
        if self._certificates is not None and credentials.certificate is not None:
            return self._certificates.known(credentials.certificate)
        if self._tokens is None or credentials.token is None:
            return None
        return self._tokens.known(credentials.token)

    async def identify(self, credentials: Credentials) -> Identity:
        """Verify the credentials. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        if self._open:
            return ANONYMOUS
        if self._certificates is not None and credentials.certificate is not None:
            return self._certificates.identify(credentials.certificate)
        if self._tokens is None:
            raise UnauthenticatedError("the connection has no client certificate")
        if credentials.token is None:
            raise UnauthenticatedError("the call has no bearer token: send the header authorization: Bearer TOKEN")
        return await self._tokens.verify(credentials.token)
