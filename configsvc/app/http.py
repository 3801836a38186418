"""The server of the API over HTTP, built from the settings."""

from collections.abc import Mapping
from importlib.metadata import version
from ssl import CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, SSLContext, VerifyMode

from configsvc.api.methods import Methods
from configsvc.domain.connections import ConnectionRules
from configsvc.process.certificates import CertificateFiles
from configsvc.process.settings import Settings
from configsvc.process.tls import renewed_context
from configsvc.web.browsers import BrowserRules
from configsvc.web.console import ConsoleSettings
from configsvc.web.health import HealthPages
from configsvc.web.server import HttpServer, build_http_server


def http_server(
    settings: Settings,
    servicers: Mapping[str, object],
    methods: Methods,
    rules: ConnectionRules,
    files: CertificateFiles | None,
    health: HealthPages,
) -> HttpServer:
    """Return a server bound to the address in the settings. Raises AddressInUseError or CertificateError."""
    assert settings.http_listen is not None
    return build_http_server(
        servicers,
        methods,
        settings.http_listen,
        rules,
        tls=_tls(settings, files),
        health=health,
        browsers=BrowserRules(
            origins=frozenset(filter(None, settings.cors_origins.split(","))),
            trusts_everybody=settings.auth == "none",
        ),
        console=_console(settings),
    )


def _console(settings: Settings) -> ConsoleSettings:
    return ConsoleSettings(
        version=version("configsvc"),
        authentication=tuple(sorted(settings.ways)),
        issuer=settings.oidc_issuer,
        client_id=settings.console_client_id,
        audience=settings.oidc_audience,
        scope=settings.console_scope,
        origins=tuple(filter(None, settings.console_origins.split(","))),
    )


def _tls(settings: Settings, files: CertificateFiles | None) -> SSLContext | None:
    """Return the context for HTTPS, if TLS is on. Raises CertificateError."""
    return renewed_context(files.current, _client_certificates(settings.ways), "http/1.1") if files else None


def _client_certificates(ways: frozenset[str]) -> VerifyMode:
    """Return which clients of HTTPS need a certificate: one address serves all ways, unlike in gRPC for Python."""
    if "mtls" not in ways:
        return CERT_NONE
    return CERT_OPTIONAL if "oidc" in ways else CERT_REQUIRED
