"""TLS with the newest certificate at each handshake."""

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from configsvc.process.certificates import CertificateError, ServerCertificate

log = structlog.get_logger()


class RenewedContext(ssl.SSLContext):
    """A context whose handshakes use the newest certificate and authorities; open connections keep theirs.

    Each state of the files has a context of its own, so that no session outlives the authority of its client.
    """

    def __init__(
        self,
        _protocol: int,
        newest: Callable[[], ServerCertificate],
        client_certificates: ssl.VerifyMode,
        application: str,
    ) -> None:
        self._newest = newest
        self._client_certificates = client_certificates
        self._application = application
        self._given = newest()
        self._current = context_of(self._given, client_certificates, application)

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        """Begin a handshake."""
        found = self._newest()
        if found != self._given:
            self._given = found
            try:
                self._current = context_of(found, self._client_certificates, self._application)
            except CertificateError as error:
                reason = str(error)
                log.error("new certificate rejected; keeping the current one", error=reason)  # noqa: TRY400
        return self._current.wrap_bio(*arguments, **more)


def renewed_context(
    newest: Callable[[], ServerCertificate], client_certificates: ssl.VerifyMode, application: str
) -> ssl.SSLContext:
    """Return a context that asks for the newest certificate at each handshake. Raises CertificateError.

    `application` is the protocol over TLS, in the words of ALPN.
    """
    return RenewedContext(ssl.PROTOCOL_TLS_SERVER, newest, client_certificates, application)


def context_of(certificate: ServerCertificate, client_certificates: ssl.VerifyMode, application: str) -> ssl.SSLContext:
    """Return a context with one certificate, and the authorities of clients' certificates. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([application])
    context.verify_mode = client_certificates
    # As in gRPC, an authority need not be a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # The library reads files only; this one is for this user alone, and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        chain, key, authorities = Path(folder, "chain.pem"), Path(folder, "key.pem"), Path(folder, "authorities.pem")
        chain.write_bytes(certificate.chain)
        key.write_bytes(certificate.key)
        authorities.write_bytes(certificate.client_authorities)
        try:
            context.load_cert_chain(chain, key)
            if client_certificates != ssl.CERT_NONE:
                context.load_verify_locations(authorities)
        except ssl.SSLError as error:
            raise CertificateError(f"TLS cannot use the certificate: {error.reason or error}") from error
    return context
