"""Settings of authentication that cannot work: the start fails and says what to do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from configsvc.app.run import run_service
from configsvc.process.exposure import check_exposure
from configsvc.process.startup import StartError
from tests.process.running import program
from tests.service import settings_of


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "CONFIGSVC_OIDC_ISSUER is not set"),
        ({"oidc_jwks_file": Path("jwks.json")}, "CONFIGSVC_OIDC_ISSUER is not set"),
        ({"oidc_issuer": "http://login.example.com"}, "http is allowed only for this machine"),
        ({"oidc_issuer": "login.example.com"}, "CONFIGSVC_OIDC_JWKS_FILE"),
        ({"oidc_issuer": "https://user:secret@login.example.com"}, "without a password"),
    ],
)
def test_oidc_needs_a_provider_whose_keys_can_be_trusted(settings: dict[str, Any], told: str) -> None:
    for ways in ("oidc", "oidc,mtls"):
        with pytest.raises(StartError, match=told) as caught:
            check_exposure(settings_of(auth=ways, **settings | tls_settings(ways)))
        assert "secret" not in str(caught.value)
    check_exposure(settings_of(auth="none", **settings))


def tls_settings(ways: str) -> dict[str, Any]:
    """Return the settings that client certificates need."""
    if ways == "oidc":
        return {}
    files = {name: Path(f"{name}.pem") for name in ("tls_certificate_file", "tls_key_file", "tls_client_ca_file")}
    return {**files, "mtls_listen": "127.0.0.1:0"}


def test_an_issuer_may_be_anything_where_its_keys_are_in_a_file() -> None:
    check_exposure(settings_of(auth="oidc", oidc_issuer="kubernetes/serviceaccount", oidc_jwks_file=Path("jwks.json")))
    check_exposure(settings_of(auth="oidc", oidc_issuer="https://login.example.com"))
    check_exposure(settings_of(auth="oidc", oidc_issuer="http://localhost:8080/realms/shop"))


async def test_the_program_says_what_oidc_lacks(tmp_path: Path) -> None:
    async with program(tmp_path, "serve", auth="oidc", listen="127.0.0.1:0") as running:
        assert await running.exit_code() == 1
    assert running.lines[-1].startswith("configsvc: CONFIGSVC_AUTH is oidc, but CONFIGSVC_OIDC_ISSUER is not set")


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_read_end_the_start(
    database_url: str, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content, encoding="utf-8")
    settings = settings_of(auth="oidc", oidc_issuer="https://login.example.com", oidc_ca_file=file)
    with pytest.raises(StartError, match=r"the certificates in .*ca\.pem cannot be read"):
        await run_service(settings, database_url, stop=asyncio.Event())


@pytest.mark.parametrize("name", ["oidc_audience", "oidc_user_claim", "oidc_groups_claim"])
def test_what_tokens_are_checked_against_cannot_be_empty(name: str) -> None:
    with pytest.raises(ValidationError):
        settings_of(**{name: ""})


@pytest.mark.parametrize("admins", ["alice", "user:alice,group", "role:x", "user:", "user:a\tb,user:c", "*"])
def test_admins_are_principals_or_the_start_fails(admins: str) -> None:
    with pytest.raises(ValidationError, match="in CONFIGSVC_ADMINS must be user:NAME, group:NAME or certificate:NAME"):
        settings_of(admins=admins)


def test_what_stands_around_admins_is_no_part_of_them() -> None:
    assert settings_of(admins=" user:alice ,\tgroup:platform team\n,").admins == "user:alice,group:platform team"
    assert settings_of(admins="").admins == settings_of(admins=" , ").admins == ""


def test_settings_do_not_show_the_password_of_the_database() -> None:
    settings = settings_of(auth="oidc", database_url="postgresql://configsvc:xyzzy@localhost/configsvc")
    assert "xyzzy" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
