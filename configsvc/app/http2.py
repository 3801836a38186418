"""The gRPC server on libnghttp2, built from the settings."""

import ssl
from collections.abc import Mapping

from configsvc.api.methods import Methods
from configsvc.app.grpc_servers import addresses
from configsvc.domain.connections import ConnectionRules
from configsvc.http2.listeners import Address
from configsvc.http2.server import Server, build_server
from configsvc.process.certificates import CertificateFiles
from configsvc.process.settings import Settings
from configsvc.process.tls import renewed_context


def http2_server(
    settings: Settings,
    servicers: Mapping[str, object],
    methods: Methods,
    rules: ConnectionRules,
    files: CertificateFiles | None,
) -> Server:
    """Return a server bound to the addresses in the settings. Raises StartError or CertificateError."""
    bound = tuple(
        Address(listen=listen, tls=_tls(files, client_certificates=certificates) if files else None)
        for listen, certificates in addresses(settings)
    )
    return build_server(servicers, methods, bound, rules)


def _tls(files: CertificateFiles, *, client_certificates: bool) -> ssl.SSLContext:
    return renewed_context(files.current, ssl.CERT_REQUIRED if client_certificates else ssl.CERT_NONE, "h2")
