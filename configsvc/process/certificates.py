"""The files of the server's certificate, which may be replaced while it serves."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

log = structlog.get_logger()


class CertificateError(Exception):
    """The files cannot be used; the text names the one and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """What a handshake takes, in PEM: the certificate with those between it and its authority, its key, and the
    authorities of clients' certificates, empty where clients need none.
    """

    chain: bytes
    key: bytes
    client_authorities: bytes


class CertificateFiles:
    """The newest certificate that was whole. Its files are read at every handshake, in threads of gRPC: that costs less
    than one of the handshake's signatures, and no time stamp can hide a change.
    """

    def __init__(self, chain: Path, key: Path, client_authorities: Path | None) -> None:
        """Raises CertificateError."""
        self._chain = chain
        self._key = key
        self._client_authorities = client_authorities
        self._lock = Lock()
        self._current: ServerCertificate = self._read()
        self._check(self._current)
        # What was judged last, and what was wrong the last time: each state of the files is judged and told of once,
        # for strangers cause handshakes too.
        self._judged: ServerCertificate = self._current
        self._problem = ""

    def current(self) -> ServerCertificate:
        """The certificate for a handshake that begins now. While the files are missing, half written or do not belong
        together, it is the one from before.
        """
        with self._lock:
            try:
                self._look()
                self._problem = ""
            except CertificateError as error:
                self._tell(str(error))
            return self._current

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log.error("the certificate cannot be used, the one from before stays", error=problem)
        self._problem = problem

    def _look(self) -> None:
        found = self._read()
        if found != self._judged:
            self._judged = found
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
        try:
            first = x509.load_pem_x509_certificates(certificate.chain)[0]
        except ValueError as error:
            raise CertificateError(f"{self._chain} holds no certificate in PEM") from error
        if _private_key(self._key, certificate.key).public_key() != first.public_key():
            raise CertificateError(f"{self._key} is not the key of the certificate in {self._chain}")
        try:
            if self._client_authorities:
                x509.load_pem_x509_certificates(certificate.client_authorities)
        except ValueError as error:
            raise CertificateError(f"{self._client_authorities} holds no certificate in PEM") from error
        log.info("certificate loaded", file=str(self._chain), expires=first.not_valid_after_utc.isoformat())


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateError(f"{file} cannot be read: {error.strerror}") from error


def _private_key(file: Path, pem: bytes) -> RSAPrivateKey | EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{file} holds no private key in PEM that is not encrypted") from error
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise CertificateError(f"{file} is neither an RSA nor an ECDSA key")
    return key
