"""The identities that client certificates name. The TLS handshake has proved that the peer owns the key."""

import re
import time

from cryptography import x509
from cryptography.x509.general_name import DNSName, RFC822Name, UniformResourceIdentifier

from configsvc.domain.access import MAX_PRINCIPAL_NAME_LENGTH, Authentication, Identity
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.errors import UnauthenticatedError

REMEMBERED_CERTIFICATES = 10_000

# The first kind that a certificate has counts. No name fits two patterns, so a certificate for a DNS name cannot pass
# for somebody else's URI or e-mail address.
_KINDS = (
    ("URI", UniformResourceIdentifier, re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+")),
    ("DNS name", DNSName, re.compile(r"[A-Za-z0-9*._-]+")),
    ("e-mail address", RFC822Name, re.compile(r"[!-9;-?A-~]+@[A-Za-z0-9._-]+")),
)
# The library's errors for a certificate that is malformed or lacks the extension.
_UNREADABLE = (ValueError, x509.DuplicateExtension, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType)


class Certificates:
    """A cache of the identities that certificates name, until they expire."""

    def __init__(self) -> None:
        # By PEM text, proved anew by each connection's handshake; an address may soon be another peer's.
        self._known: BoundedCache[bytes, Identity] = BoundedCache(limit_count=REMEMBERED_CERTIFICATES)

    def known(self, certificate: bytes) -> Identity | None:
        """Return the identity of a cached certificate, or None."""
        identity = self._known.peek(certificate)
        if identity is not None and _has_expired(identity):
            self._known.pop(certificate)
            return None
        return identity

    def identify(self, certificate: bytes) -> Identity:
        """Return the identity that a PEM certificate names. Raises UnauthenticatedError."""
        identity = _identity(certificate)
        if _has_expired(identity):
            # It was valid during the handshake.
            raise UnauthenticatedError("the client certificate has expired: reconnect with a new one")
        self._known.put(certificate, identity)
        return identity


def _has_expired(identity: Identity) -> bool:
    return identity.expires is not None and identity.expires <= time.time()


def _identity(pem: bytes) -> Identity:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE as error:
        raise UnauthenticatedError(
            "the client certificate has no readable subject alternative name; the common name is ignored"
        ) from error
    return Identity(
        principal=f"certificate:{_name(names)}",
        groups=frozenset(),
        authentication=Authentication.MTLS,
        expires=certificate.not_valid_after_utc.timestamp(),
    )


def _name(names: x509.SubjectAlternativeName) -> str:
    for kind, general_name, form in _KINDS:
        values = names.get_values_for_type(general_name)
        if len(values) > 1:
            raise UnauthenticatedError(f"the client certificate has more than one {kind}, so its identity is ambiguous")
        if values:
            if len(values[0]) > MAX_PRINCIPAL_NAME_LENGTH or not form.fullmatch(values[0]):
                raise UnauthenticatedError(f"the client certificate's {kind} is not valid")
            return values[0]
    raise UnauthenticatedError("the client certificate has neither a URI nor a DNS name nor an e-mail address")
