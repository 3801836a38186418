"""Client certificates: whom each of them names, once a handshake has proved that the peer has its key."""

import re
import time

from cryptography import x509
from cryptography.x509.general_name import DNSName, RFC822Name, UniformResourceIdentifier

from configsvc.domain.access import MAX_PRINCIPAL_NAME_LENGTH, Authentication, Identity
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.errors import UnauthenticatedError

REMEMBERED_CERTIFICATES = 10_000

# The first kind that a certificate has counts. No name fits two of the forms: who may have a certificate for the DNS
# name root.example cannot become the URI or the address of somebody else.
_KINDS = (
    ("URI", UniformResourceIdentifier, re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+")),
    ("DNS name", DNSName, re.compile(r"[A-Za-z0-9*._-]+")),
    ("e-mail address", RFC822Name, re.compile(r"[!-9;-?A-~]+@[A-Za-z0-9._-]+")),
)
# What the library raises for a certificate that is malformed, or lacks the extension.
_UNREADABLE = (ValueError, x509.DuplicateExtension, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType)


class Certificates:
    """Says whom certificates name, and remembers it until they expire."""

    def __init__(self) -> None:
        # By the PEM text, which the handshake has proved for each connection anew: the address of a peer may be
        # somebody else's a moment later. The one read last is the last.
        self._known: BoundedCache[bytes, Identity] = BoundedCache(limit_count=REMEMBERED_CERTIFICATES)

    def known(self, certificate: bytes) -> Identity | None:
        """Whom the certificate names, if that is remembered."""
        identity = self._known.peek(certificate)
        if identity is not None and _has_expired(identity):
            self._known.pop(certificate)
            return None
        return identity

    def identify(self, certificate: bytes) -> Identity:
        """Whom the certificate names, in PEM. Raises UnauthenticatedError."""
        identity = _identity(certificate)
        if _has_expired(identity):
            # It was valid when its connection was made.
            raise UnauthenticatedError("the client certificate has expired: connect anew with another")
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
            "the client certificate has no subject alternative name that can be read; its common name does not count"
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
            raise UnauthenticatedError(f"the client certificate has more than one {kind}: whom it names is ambiguous")
        if values:
            if len(values[0]) > MAX_PRINCIPAL_NAME_LENGTH or not form.fullmatch(values[0]):
                raise UnauthenticatedError(f"the {kind} of the client certificate is not one")
            return values[0]
    raise UnauthenticatedError("the client certificate has neither a URI nor a DNS name nor an e-mail address")
