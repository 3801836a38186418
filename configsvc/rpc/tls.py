"""TLS credentials for the addresses of the server."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc

from configsvc.process.certificates import CertificateFiles, ServerCertificate


def server_credentials(files: CertificateFiles, *, client_certificates: bool) -> grpc.ServerCredentials:
    """Return credentials for one address. Each handshake uses the newest certificate; open connections stay.

    With `client_certificates`, a client must present a certificate issued by an authority in the files.
    """
    newest = files.current if client_certificates else lambda: replace(files.current(), client_authorities=b"")
    first = newest()
    return grpc.dynamic_ssl_server_credentials(
        _configuration(first), _renewals(first, newest), require_client_authentication=client_certificates
    )


def _renewals(
    first: ServerCertificate, newest: Callable[[], ServerCertificate]
) -> Callable[[], grpc.ServerCertificateConfiguration]:
    """Return the function that gRPC calls at each handshake. It returns None for no change, which its types omit."""
    given = first

    def renewal() -> Any:
        nonlocal given
        found = newest()
        if found == given:
            return None
        given = found
        return _configuration(found)

    return renewal


def _configuration(certificate: ServerCertificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificate.key, certificate.chain)], certificate.client_authorities or None
    )
