"""TLS with the newest certificate at each handshake."""

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from configsvc.process.certificates import ServerCertificate


def renewed_context(newest: Callable[[], ServerCertificate]) -> ssl.SSLContext:
    """Return a context whose handshakes use the newest certificate; open connections keep theirs."""
    given = newest()
    current = context_of(given)
    outer = context_of(given)

    def choose(connection: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        nonlocal given, current
        found = newest()
        if found != given:
            given, current = found, context_of(found)
        connection.context = current

    outer.sni_callback = choose
    return outer


def context_of(certificate: ServerCertificate) -> ssl.SSLContext:
    """Return a context with one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # The library reads files only; this one is for this user alone, and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_bytes(certificate.chain)
        key.write_bytes(certificate.key)
        context.load_cert_chain(chain, key)
    return context
