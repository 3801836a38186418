"""Certificates for tests, made on demand."""

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = 3600.0
SERVER_NAMES = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
ROOT = "spiffe://example.org/root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("an authority")
        built = _builder(self._name, self._name, self._key, -HOUR, HOUR)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def pair(
        self,
        *names: x509.GeneralName,
        common_name: str = "somebody",
        begins: float = -HOUR,
        ends: float = HOUR,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Pair:
        """Issue a certificate with the subject alternative names; its validity is in seconds from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(_named(common_name), self._name, key, begins, ends)
        built = built.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pair(built.sign(self._key, hashes.SHA256()), key)

    def server_pair(self) -> Pair:
        return self.pair(*SERVER_NAMES, common_name="server", usage=ExtendedKeyUsageOID.SERVER_AUTH)

    def trusting(self, client: Pair | None = None) -> grpc.ChannelCredentials:
        """Return credentials of a client that trusts servers of this authority."""
        if client is None:
            return grpc.ssl_channel_credentials(self.pem)
        return grpc.ssl_channel_credentials(self.pem, client.key, client.certificate)


def self_signed(*names: x509.GeneralName) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    built = _builder(_named("somebody"), _named("somebody"), key, -HOUR, HOUR)
    built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _pair(built.sign(key, hashes.SHA256()), key)


def uri(value: str = ROOT) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The certificate files of a server."""

    certificate: Path
    key: Path
    authorities: Path

    def write(self, pair: Pair, authorities: Iterable[Authority] = ()) -> None:
        """Write one file after the other, as nobody should replace them."""
        self.certificate.write_bytes(pair.certificate)
        self.key.write_bytes(pair.key)
        if authorities:
            self.authorities.write_bytes(b"".join(authority.pem for authority in authorities))

    def settings(self, auth: str = "mtls") -> dict[str, Any]:
        """Return settings of a service that uses the files; the caller ROOT is its admin."""
        return {
            "auth": auth,
            "admins": f"certificate:{ROOT}",
            "tls_certificate_file": str(self.certificate),
            "tls_key_file": str(self.key),
        } | ({"tls_client_ca_file": str(self.authorities)} if "mtls" in auth else {})


def files_in(folder: Path, authority: Authority) -> Files:
    """Write the files of a server of the authority, which takes client certificates from it."""
    files = Files(
        certificate=folder / "server.pem", key=folder / "server-key.pem", authorities=folder / "authorities.pem"
    )
    files.write(authority.server_pair(), [authority])
    return files


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: float, ends: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(seconds=begins))
        .not_valid_after(now + datetime.timedelta(seconds=ends))
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
