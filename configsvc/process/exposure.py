"""Who could reach the service, and how callers have to prove who they are: nothing is open by accident."""

from collections.abc import Generator
from contextlib import suppress
from ipaddress import ip_address

from configsvc.identity.key_sources import is_safe_url
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError

_ACCEPT = "or accept that with --insecure (CONFIGSVC_INSECURE=true)"
_TLS = "set CONFIGSVC_TLS_CERTIFICATE_FILE and CONFIGSVC_TLS_KEY_FILE"


def check_exposure(settings: Settings) -> None:
    """Raises StartError if the settings contradict each other, or the service would be open to the network without
    being told so.
    """
    for problem in (*_contradictions(settings), *_doubts_of_the_provider(settings), *_exposures(settings)):
        raise StartError(problem)


def _contradictions(settings: Settings) -> Generator[str]:
    tls = settings.tls_certificate_file is not None
    if tls != (settings.tls_key_file is not None):
        yield f"a certificate and its key go together: {_TLS}"
    if settings.tls_client_ca_file and "mtls" not in settings.ways:
        yield "CONFIGSVC_TLS_CLIENT_CA_FILE is for client certificates: set CONFIGSVC_AUTH=mtls or oidc,mtls too"
    if "mtls" in settings.ways:
        if not tls:
            yield f"CONFIGSVC_AUTH={settings.auth}: client certificates come with TLS: {_TLS}"
        if not settings.tls_client_ca_file:
            yield (
                f"CONFIGSVC_AUTH={settings.auth}: set CONFIGSVC_TLS_CLIENT_CA_FILE to a file with the authorities of "
                "client certificates"
            )
    if bool(settings.mtls_listen) != (settings.ways == frozenset(("oidc", "mtls"))):
        yield (
            "CONFIGSVC_MTLS_LISTEN is the address for client certificates where CONFIGSVC_LISTEN takes tokens: it goes "
            "with CONFIGSVC_AUTH=oidc,mtls, and no other"
        )


def _doubts_of_the_provider(settings: Settings) -> Generator[str]:
    if "oidc" not in settings.ways:
        return
    if not settings.oidc_issuer:
        yield (
            "CONFIGSVC_AUTH is oidc, and CONFIGSVC_OIDC_ISSUER is not set: it names the provider whose tokens are "
            "accepted, and where its keys are found unless CONFIGSVC_OIDC_JWKS_FILE has them"
        )
    if not settings.oidc_jwks_file and not is_safe_url(settings.oidc_issuer):
        yield (
            "CONFIGSVC_OIDC_ISSUER is not like https://login.example.com, without a password: over http keys are read "
            "from this machine alone. Where they come in another way, name their file in CONFIGSVC_OIDC_JWKS_FILE"
        )


def _exposures(settings: Settings) -> Generator[str]:
    if settings.insecure:
        return
    listen, metrics = settings.listen, settings.metrics_listen
    if settings.auth == "none" and not _is_loopback(listen):
        yield (
            f"{listen} is not a loopback address, and there is no authentication: anyone who reaches it could read and "
            f"change everything. Set CONFIGSVC_AUTH, listen on 127.0.0.1, {_ACCEPT}"
        )
    if "oidc" in settings.ways and not settings.tls_certificate_file and not _is_loopback(listen):
        yield (
            f"{listen} is not a loopback address, and there is no TLS: tokens would travel in clear text. "
            f"{_TLS[0].upper()}{_TLS[1:]}, listen on 127.0.0.1, {_ACCEPT}"
        )
    if metrics and not _is_loopback(metrics):
        yield (
            f"{metrics} is not a loopback address, and there is no authentication: anyone who reaches it could read "
            f"the metrics. Listen on 127.0.0.1, {_ACCEPT}"
        )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
