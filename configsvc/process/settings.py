"""Settings: flags, then CONFIGSVC_* variables, then a .env file, then the defaults."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from configsvc.domain.access import check_new_principal
from configsvc.domain.errors import Violations
from configsvc.domain.models import DEFAULT_RETENTION
from configsvc.domain.peers import trusted_proxies
from configsvc.redis.url import parse_redis_url
from configsvc.storage.database_url import MAX_PORT, parse_database_url

PREFIX = "CONFIGSVC_"
ENV_FILE = ".env"
DEFAULT_CACHE_MEGABYTES = 64


def _checked_database_url(url: SecretStr) -> SecretStr:
    if url:
        parse_database_url(url.get_secret_value())
    return url


def _checked_redis_url(url: SecretStr) -> SecretStr:
    if url:
        parse_redis_url(url.get_secret_value())
    return url


_LISTEN = re.compile(r"unix:.+|([^:\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")


def _checked_listen(address: str) -> str:
    match = _LISTEN.fullmatch(address)
    if not match or int(match[2] or 0) > MAX_PORT:
        raise ValueError("must be like 127.0.0.1:50051, [::1]:50051 or unix:/run/configsvc.sock")
    return address


def _checked_metrics_listen(address: str) -> str:
    if _checked_listen(address).startswith("unix:"):
        raise ValueError("must be like 127.0.0.1:9464: Prometheus cannot read from a unix socket")
    return address


def _checked_http_listen(address: str) -> str:
    if _checked_listen(address).startswith("unix:"):
        raise ValueError("must be like 127.0.0.1:50080: HTTP is not served on a unix socket")
    return address


_ORIGIN = re.compile(r"https?://[^/,\s*]+")


def _checked_origins(origins: str) -> str:
    names = [name for part in origins.split(",") if (name := part.strip())]
    for name in names:
        if not _ORIGIN.fullmatch(name):
            raise ValueError(f"{name!r} must be like https://console.example.com, without a path")
    return ",".join(names)


_WAYS = ({"none"}, {"oidc"}, {"mtls"}, {"oidc", "mtls"})


def _checked_auth(ways: str) -> str:
    if set(ways.split(",")) not in _WAYS:
        raise ValueError("must be one of: none, oidc, mtls, or oidc,mtls")
    return ways


def _checked_admins(admins: str) -> str:
    names = [name for part in admins.split(",") if (name := part.strip())]
    violations = Violations()
    for name in names:
        check_new_principal(name, f"{name!r} in CONFIGSVC_ADMINS", violations)
    faults = [f"{violation.field} {violation.description}" for violation in violations.found]
    if faults:
        raise ValueError("; ".join(faults))
    return ",".join(names)


def _checked_trusted_proxies(proxies: str) -> str:
    trusted_proxies(proxies)
    return proxies


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True
    )

    listen: Annotated[str, AfterValidator(_checked_listen)] = "127.0.0.1:50051"
    mtls_listen: Annotated[str, AfterValidator(_checked_listen)] | None = None
    http_listen: Annotated[str, AfterValidator(_checked_http_listen)] | None = None
    cors_origins: Annotated[str, AfterValidator(_checked_origins)] = ""
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    trusted_proxies: Annotated[str, AfterValidator(_checked_trusted_proxies)] = ""
    database_url: Annotated[SecretStr, AfterValidator(_checked_database_url)] | None = None
    migrate_database_url: Annotated[SecretStr, AfterValidator(_checked_database_url)] | None = None
    service_role: str | None = None
    data_dir: Path = Path(".configsvc")
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    transport: Literal["grpcio", "ngh2"] = "grpcio"
    insecure: bool = False
    auth: Annotated[str, AfterValidator(_checked_auth)] = "none"
    admins: Annotated[str, AfterValidator(_checked_admins)] = ""
    oidc_issuer: str = ""
    oidc_audience: Annotated[str, Field(min_length=1)] = "configsvc"
    oidc_jwks_file: Path | None = None
    oidc_ca_file: Path | None = None
    oidc_user_claim: Annotated[str, Field(min_length=1)] = "sub"
    oidc_groups_claim: Annotated[str, Field(min_length=1)] = "groups"
    oidc_leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30.0
    console_client_id: str = ""
    console_scope: Annotated[str, Field(min_length=1)] = "openid"
    console_origins: Annotated[str, AfterValidator(_checked_origins)] = ""
    migrate: bool = True
    drain_delay_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    shutdown_grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    calls_per_second: Annotated[float, Field(ge=0)] = 1000.0
    calls_burst: Annotated[float, Field(ge=1)] = 10_000.0
    calls_at_once: Annotated[int, Field(ge=1)] = 1000
    watches_per_caller: Annotated[int, Field(ge=1)] = 10_000
    watches_per_process: Annotated[int, Field(ge=1)] = 20_000
    connection_age_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 0.0
    history_days: Annotated[float, Field(ge=1, le=36_500)] = DEFAULT_RETENTION.days
    history_versions: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_RETENTION.versions
    metrics_listen: Annotated[str, AfterValidator(_checked_metrics_listen)] | None = None
    cache_megabytes: Annotated[int, Field(ge=0, le=1_048_576)] = DEFAULT_CACHE_MEGABYTES
    redis_url: Annotated[SecretStr, AfterValidator(_checked_redis_url)] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    @property
    def ways(self) -> frozenset[str]:
        """The accepted ways of authentication."""
        return frozenset(self.auth.split(","))

    def environment(self) -> dict[str, str]:
        """Return variables that give another process these settings, with the database password among them."""
        texts = {name: _text(getattr(self, name)) for name in type(self).model_fields}
        return {f"{PREFIX}{name.upper()}": text for name, text in texts.items() if text}


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return value.get_secret_value()
        case _:
            return str(value)
