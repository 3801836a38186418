"""The server's certificate, read from files that may be replaced at any time."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import structlog

from configsvc.process.settings import Settings
from configsvc.process.startup import StartError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

log = structlog.get_logger()


class CertificateError(Exception):
    """A certificate file is unusable. The text names the file and the reason."""


def check_certificates(settings: Settings) -> None:
    """Check the certificate files, so that a supervisor says once what is wrong with them. Raises StartError."""
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    try:
        if certificate and key:
            CertificateFiles(certificate, key, settings.tls_client_ca_file)
        if "oidc" in settings.ways and settings.oidc_ca_file and not settings.oidc_jwks_file:
            ssl.create_default_context(cafile=settings.oidc_ca_file)
    except CertificateError as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"the certificates in {settings.oidc_ca_file} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """Certificate chain, key, and the clients' certificate authorities, all in PEM.

    The authorities are empty if clients need no certificate.
    """

    chain: bytes
    key: bytes
    client_authorities: bytes


class CertificateFiles:
    """The newest valid certificate of some files.

    Every handshake reads the files, in a thread of gRPC: that costs less than a signature of the handshake, and unlike
    time stamps misses no change.
    """

    def __init__(self, chain: Path, key: Path, client_authorities: Path | None) -> None:
        """Read and check the files. Raises CertificateError."""
        self._chain = chain
        self._key = key
        self._client_authorities = client_authorities
        self._lock = Lock()
        self._current: ServerCertificate = self._read()
        self._check(self._current)
        # Each state of the files is checked and logged only once, as anyone can cause handshakes.
        self._checked: ServerCertificate = self._current
        self._problem = ""

    def current(self) -> ServerCertificate:
        """Return the certificate for a new handshake: the last valid one if the files are missing or inconsistent."""
        with self._lock:
            try:
                self._look()
                self._problem = ""
            except CertificateError as error:
                self._log_once(str(error))
            return self._current

    def _log_once(self, problem: str) -> None:
        if problem != self._problem:
            log.error("new certificate rejected; keeping the current one", error=problem)
        self._problem = problem

    def _look(self) -> None:
        found = self._read()
        if found != self._checked:
            self._checked = found
            self._check(found)
            self._current = found

    def _read(self) -> ServerCertificate:
        authorities = self._client_authorities
        return ServerCertificate(
            chain=_bytes_of(self._chain),
            key=_bytes_of(self._key),
            client_authorities=_bytes_of(authorities) if authorities else b"",
        )

    def _check(self, certificate: ServerCertificate) -> None:
        # Like all of the library, imported when there are certificates: most services have none.
        from cryptography import x509  # noqa: PLC0415

        try:
            first = x509.load_pem_x509_certificates(certificate.chain)[0]
        except ValueError as error:
            raise CertificateError(f"{self._chain} contains no certificate in PEM") from error
        if _private_key(self._key, certificate.key).public_key() != first.public_key():
            raise CertificateError(f"{self._key} is not the key of the certificate in {self._chain}")
        try:
            if self._client_authorities:
                x509.load_pem_x509_certificates(certificate.client_authorities)
        except ValueError as error:
            raise CertificateError(f"{self._client_authorities} contains no certificate in PEM") from error
        log.info("certificate loaded", file=str(self._chain), expires=first.not_valid_after_utc.isoformat())


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateError(f"{file} cannot be read: {error.strerror}") from error


def _private_key(file: Path, pem: bytes) -> "RSAPrivateKey | EllipticCurvePrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{file} contains no unencrypted private key in PEM") from error
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise CertificateError(f"{file} contains neither an RSA nor an ECDSA key")
    return key
