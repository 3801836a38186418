"""Checks of the settings for contradictions, and against opening the service by accident."""

from collections.abc import Generator
from contextlib import suppress
from ipaddress import ip_address
from itertools import chain

from configsvc.identity.key_sources import is_safe_url
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError

_ACCEPT = "or accept the risk with --insecure (CONFIGSVC_INSECURE=true)"
_TLS = "set CONFIGSVC_TLS_CERTIFICATE_FILE and CONFIGSVC_TLS_KEY_FILE"


def check_exposure(settings: Settings) -> None:
    """Check that the settings agree, and that the service is open to the network only on purpose. Raises StartError."""
    problems = (_contradictions, _settings_without_effect, _provider_problems, _exposures)
    for problem in chain.from_iterable(check(settings) for check in problems):
        raise StartError(problem)


def _contradictions(settings: Settings) -> Generator[str]:
    tls = settings.tls_certificate_file is not None
    if tls != (settings.tls_key_file is not None):
        yield f"TLS needs both a certificate and its key: {_TLS}"
    if settings.tls_client_ca_file and "mtls" not in settings.ways:
        yield "CONFIGSVC_TLS_CLIENT_CA_FILE requires client certificates: set CONFIGSVC_AUTH=mtls or oidc,mtls"
    if "mtls" in settings.ways:
        if not tls:
            yield f"CONFIGSVC_AUTH={settings.auth}: client certificates require TLS: {_TLS}"
        if not settings.tls_client_ca_file:
            yield (
                f"CONFIGSVC_AUTH={settings.auth}: set CONFIGSVC_TLS_CLIENT_CA_FILE to a file with the certificate "
                "authorities of the clients"
            )
    if bool(settings.mtls_listen) != (settings.ways == frozenset(("oidc", "mtls"))):
        yield (
            "CONFIGSVC_AUTH=oidc,mtls requires CONFIGSVC_MTLS_LISTEN, a second address for client certificates; no "
            "other value allows it"
        )


def _settings_without_effect(settings: Settings) -> Generator[str]:
    if settings.cors_origins and not settings.http_listen:
        yield "CONFIGSVC_CORS_ORIGINS is for pages that use HTTP: set CONFIGSVC_HTTP_LISTEN too"
    if settings.redis_url and not settings.cache_megabytes:
        yield "CONFIGSVC_REDIS_URL is for answers that the cache lacks: set CONFIGSVC_CACHE_MEGABYTES above 0"


def _provider_problems(settings: Settings) -> Generator[str]:
    if "oidc" not in settings.ways:
        return
    if not settings.oidc_issuer:
        yield (
            "CONFIGSVC_AUTH is oidc, but CONFIGSVC_OIDC_ISSUER is not set: set it to the provider whose tokens are "
            "accepted. Its keys are read from there unless CONFIGSVC_OIDC_JWKS_FILE contains them"
        )
    if not settings.oidc_jwks_file and not is_safe_url(settings.oidc_issuer):
        yield (
            "CONFIGSVC_OIDC_ISSUER must be like https://login.example.com, without a password; http is allowed only "
            "for this machine. Otherwise set CONFIGSVC_OIDC_JWKS_FILE to a file with the provider's keys"
        )


def _exposures(settings: Settings) -> Generator[str]:
    if settings.insecure:
        return
    for listen in filter(None, (settings.listen, settings.http_listen)):
        if settings.auth == "none" and not _is_loopback(listen):
            yield (
                f"{listen} is not a loopback address, and there is no authentication: anyone could read and change "
                f"everything. Set CONFIGSVC_AUTH, listen on 127.0.0.1, {_ACCEPT}"
            )
        if "oidc" in settings.ways and not settings.tls_certificate_file and not _is_loopback(listen):
            yield (
                f"{listen} is not a loopback address, and there is no TLS: tokens would be sent in clear text. "
                f"{_TLS[0].upper()}{_TLS[1:]}, listen on 127.0.0.1, {_ACCEPT}"
            )
    metrics = settings.metrics_listen
    if metrics and not _is_loopback(metrics):
        yield (
            f"{metrics} is not a loopback address, and metrics have no authentication: anyone could read "
            f"them. Listen on 127.0.0.1, {_ACCEPT}"
        )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
