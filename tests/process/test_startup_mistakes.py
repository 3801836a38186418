"""Mistakes of the start: one line that says what, where, and what to do; never a traceback or a password."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr, ValidationError

from configsvc.storage.database_url import parse_database_url, redacted_url
from tests.postgres import execute, plain_connection, with_database
from tests.process.running import Program, program, serving
from tests.proxy import proxied
from tests.service import settings_of

# Fails soon if a database does not answer.
SHORTENED = (
    "from configsvc.cli.main import main; from configsvc.process import startup; "
    "startup.DATABASE_LIMIT_SECONDS = 0.5; main()"
)
IMPATIENT = (sys.executable, "-c", SHORTENED)


@pytest.fixture
async def tcp_url(empty_database_url: str) -> AsyncIterator[str]:
    """Yield the URL of an empty database by way of TCP, with a password and no parameters."""
    async with proxied(empty_database_url) as (_, url):
        yield urlsplit(url)._replace(query="").geturl().replace("configsvc@", "configsvc:hunter2@", 1)


def check_one_line(running: Program, *said: str) -> None:
    lines = [line for line in running.lines if not line.startswith("{")]
    assert len(lines) == 1, running.text
    assert lines[0].startswith("configsvc: ")
    assert [word for word in said if word not in lines[0]] == [], lines[0]
    assert "hunter2" not in running.text


@pytest.mark.parametrize(
    "parameters",
    [
        "connect_timeout=10&channel_binding=prefer&gssencmode=disable&target_session_attrs=read-write&sslmode=disable",
        "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=9&pgbouncer=true",
        "application_name=shop&options=-c%20geqo%3Doff&search_path=public&client_encoding=UTF8&sslsni=1",
    ],
)
async def test_parameters_that_hosters_put_into_urls_do_no_harm(tmp_path: Path, tcp_url: str, parameters: str) -> None:
    async with serving(tmp_path, f"{tcp_url}?{parameters}") as (running, _):
        assert "hunter2" not in running.text


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("nonsense=1", "'nonsense' is unknown"),
        ("statement_timeout=5", "'statement_timeout' is unknown"),
        ("search_path=app", "in the schema public"),
        ("options=-csearch_path%3Dapp", "in the schema public"),
        ("schema=app", "in the schema public"),
        ("gssencmode=require", "gssencmode"),
        ("channel_binding=require", "channel_binding"),
        ("target_session_attrs=standby", "the service writes"),
        ("client_encoding=latin1", "UTF8"),
        ("sslmode=strict", "sslmode must be one of"),
        ("sslrootcert=system&sslmode=require", "sslmode=verify-full"),
        ("port=abc", "port must be a number"),
        ("port=70000", "port must be a number"),
        ("hunter2", "has no value"),
        ("sslmode", "has no value"),
    ],
)
async def test_parameters_that_cannot_be_followed_are_refused_by_name(parameters: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        settings_of(database_url=SecretStr(f"postgresql://configsvc@localhost/configsvc?{parameters}"))
    assert "hunter2" not in str(caught.value.errors(include_url=False, include_input=False)[0]["msg"])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("sslmode=require", "the server does not offer TLS"),
        ("sslmode=verify-full&sslrootcert=system", "the server does not offer TLS"),
        ("sslmode=verify-full&sslrootcert=/missing.pem", "the file of sslrootcert, /missing.pem, cannot be read"),
        ("sslcert=/missing.pem", "the file of sslcert"),
        ("options=-cnonsense%3D1", 'unrecognized configuration parameter "nonsense"'),
        ("user=ghost", 'role "ghost" does not exist'),
        ("database=missing", 'database "missing" does not exist'),
    ],
)
async def test_what_the_server_refuses_is_one_line(tmp_path: Path, tcp_url: str, parameters: str, said: str) -> None:
    name, _, value = parameters.partition("=")
    url = f"{tcp_url}?{parameters}"
    if name == "database":
        url = with_database(tcp_url, value)
    elif name == "user":
        url = tcp_url.replace("configsvc:", f"{value}:", 1)
    # Both commands migrate the database in the same way, and first of all.
    command = "migrate" if name == "sslmode" else "serve"
    async with program(tmp_path, command, database_url=url) as running:
        assert await running.exit_code() == 1
    check_one_line(running, said, "configsvc: cannot use the database postgresql://", ":***@")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE ROLE {role} LOGIN", "permission denied for schema public: "),
        ("CREATE ROLE {role}", "is not permitted to log in: "),
        ("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0", "too many connections for role"),
        (
            "CREATE ROLE {role} LOGIN; REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
            "permission denied for database",
        ),
        ("CREATE ROLE {role} LOGIN; ALTER ROLE {role} SET search_path = app, public", "search_path is app, public by"),
        (
            "CREATE ROLE {role} LOGIN; ALTER ROLE {role} SET session_replication_role = replica",
            "no trigger would write",
        ),
        ("CREATE ROLE {role} LOGIN; ALTER DATABASE {database} ALLOW_CONNECTIONS false", "not currently accepting"),
    ],
)
async def test_what_a_role_lacks_is_one_line(
    tmp_path: Path, postgres_server: str, tcp_url: str, statement: str, said: str
) -> None:
    database = urlsplit(tcp_url).path.removeprefix("/")
    role = f"role_of_{database}"
    for part in statement.format(role=role, database=database).split("; "):
        await execute(postgres_server, part)
    try:
        url = tcp_url.replace("configsvc:", f"{role}:", 1)
        async with program(tmp_path, "serve", command=IMPATIENT, database_url=url) as running:
            assert await running.exit_code() == 1
        check_one_line(running, said)
    finally:
        await execute(postgres_server, f"DROP ROLE {role}")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_of_another_encoding_is_refused(tmp_path: Path, postgres_server: str, encoding: str) -> None:
    name = f"encoded_{encoding.lower()}"
    await execute(
        postgres_server, f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    try:
        async with program(tmp_path, "serve", database_url=with_database(postgres_server, name)) as running:
            assert await running.exit_code() == 1
        check_one_line(running, f"has the encoding {encoding}: use one with UTF8")
    finally:
        await execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER SEQUENCE commit_ids RESTART", "SELECT setval('public.commit_ids', 1)"),
        ("SELECT setval('pgqueuer_id_seq', 1, false)", "SELECT setval('public.pgqueuer_id_seq', 7)"),
    ],
)
async def test_a_sequence_behind_its_table_is_refused_with_the_remedy(
    tmp_path: Path, database_url: str, statement: str, said: str
) -> None:
    async with plain_connection(database_url) as session:
        await session.execute("INSERT INTO applications (name) VALUES ('shop')")
        await session.execute(
            "INSERT INTO pgqueuer (id, priority, status, entrypoint) VALUES (7, 0, 'successful', 'operation'); "
            "SELECT setval('pgqueuer_id_seq', 7)"
        )
        await session.execute(statement)
    async with asyncio.TaskGroup() as tasks:
        for arguments in (("serve",), ("serve", "--no-migrate"), ("migrate",)):
            tasks.create_task(refuse_to_start(tmp_path, *arguments, url=database_url, said=said))
    await execute(database_url, said)
    async with program(tmp_path, "migrate", database_url=database_url) as running:
        assert await running.exit_code() == 0


async def refuse_to_start(folder: Path, *arguments: str, url: str, said: str) -> None:
    async with program(folder, *arguments, database_url=url) as running:
        assert await running.exit_code() == 1
    check_one_line(running, said)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_certificate_file": "/missing.pem", "tls_key_file": "/missing.key"}, "/missing.pem cannot be read"),
        ({"tls_certificate_file": __file__, "tls_key_file": __file__}, "contains no certificate in PEM"),
        (
            {"auth": "oidc", "oidc_issuer": "https://login.example.com", "oidc_ca_file": "/missing.pem"},
            "the certificates in /missing.pem cannot be read",
        ),
        ({"listen": "192.0.2.1:0", "insecure": "true"}, "cannot listen on 192.0.2.1:0"),
    ],
)
async def test_files_and_addresses_that_cannot_be_used_are_one_line(
    tmp_path: Path, database_url: str, workers: str, settings: dict[str, Any], said: str
) -> None:
    settings = {"listen": "127.0.0.1:0", "workers": workers, "database_url": database_url} | settings
    async with program(tmp_path, "serve", **settings) as running:
        assert await running.exit_code() == 1
    check_one_line(running, said)


async def test_an_unreadable_env_file_is_one_line(tmp_path: Path, database_url: str) -> None:
    (tmp_path / ".env").write_bytes(b"CONFIGSVC_LISTEN=\xff\n")
    async with program(tmp_path, "serve", database_url=database_url) as running:
        assert await running.exit_code() == 2
    check_one_line(running, "the file .env cannot be read: write it in UTF-8")


@pytest.mark.parametrize(
    "password",
    ["hunter2[", "[hunter2]", "hunter2:", ":hunter2", "hunter2%", "%5Bhunter2", "%40hunter2", "hunter2é", "hun\ter2"],
)
def test_no_character_of_a_password_shows_it_or_changes_it(password: str) -> None:
    url = f"postgresql://configsvc:{password}@localhost:5432/configsvc?sslpassword=hunter2"
    assert redacted_url(url) == "postgresql://configsvc:***@localhost:5432/configsvc?sslpassword=***"
    assert parse_database_url(url).dsn.startswith("postgresql://configsvc:")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:5432/configsvc",
        "http://configsvc:hunter2@localhost/configsvc",
        "postgresql://c:hunter2@localhost:port/x",
        "postgresql://c:hun?ter2@localhost/x",
        "postgresql://c:1?hunter2=3@localhost/x",
        "postgresql://c:1/hunter2@localhost/x",
        "postgresql://c:hunter2#@localhost/x",
        "postgresql://c:hunter2@@localhost/x",
        "postgresql://c:hunter2@localhost:99999/x",
    ],
)
async def test_what_is_no_url_of_a_database_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    async with program(tmp_path, "migrate", database_url=url) as running:
        assert await running.exit_code() == 2
    check_one_line(running, "configsvc: setting database_url: ")
