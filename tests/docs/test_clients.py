"""The examples in other languages do what the guide says, each with the tools of its language."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.app.scraping import measured_service
from tests.client.clients import put
from tests.docs.clients import EXAMPLES, LANGUAGES, PYTHON, Client, answer_of, client_in, following
from tests.docs.test_guide import document
from tests.identity.authorities import Authority, files_in
from tests.identity.tokens import oidc_settings, token
from tests.postgres import cloned_database, plain_connection
from tests.proxy import proxied, proxied_address
from tests.service import Service, running_service

if TYPE_CHECKING:
    import asyncpg

    Psql = asyncpg.Connection[asyncpg.Record]

# Building takes its time.
pytestmark = pytest.mark.timeout(120)
GUIDE = "docs/guide/clients.md"
SOURCES = {".js", ".go", ".java", ".py"}
# The first four attempts of the policy are repeated.
ATTEMPTS = 5
# More than a message holds, each with comments of 1,000 characters.
MANY = 1_100


@pytest.fixture(params=[*LANGUAGES, "python"])
def reader(request: pytest.FixtureRequest) -> Client:
    """Return the programs of one language that read a configuration."""
    return PYTHON if request.param == "python" else client_in(request.param)


@pytest.fixture
def clients() -> dict[str, Client]:
    """Return the programs of every language whose tools are there; the fixture `reader` says what is missing."""
    found: dict[str, Client] = {}
    for language in LANGUAGES:
        with suppress(pytest.skip.Exception):
            found[language] = client_in(language)
    return found or pytest.skip("no tools of any language")


def test_the_guide_shows_the_programs_as_they_are() -> None:
    shown = re.findall(r"^```\w+ examples/clients/(\S+)\n(.*?)^```$", document(GUIDE), re.MULTILINE | re.DOTALL)
    files = {str(path.relative_to(EXAMPLES)): path for path in EXAMPLES.rglob("*") if path.suffix in SOURCES}
    assert sorted(name for name, _ in shown) == sorted(name for name in files if "node_modules" not in name)
    for name, text in shown:
        assert text == files[name].read_text(encoding="utf-8"), name


async def test_a_program_reads_a_configuration_and_shows_what_an_error_says(
    reader: Client, service: Service, psql: "Psql"
) -> None:
    await put(psql, "web", '{"replicas": 3, "limit": 9007199254740991}')
    found = await answer_of(reader, service.address, "shop", "web")
    assert (found["name"], int(found["version"])) == ("web", 1)
    assert found["content"] == {"replicas": 3, "limit": 2**53 - 1}
    missing = await answer_of(reader, service.address, "shop", "nope")
    assert (missing["code"], missing["reason"]) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")
    wrong = await answer_of(reader, service.address, "shop", "..")
    assert (wrong["code"], wrong["reason"], list(wrong["faults"])) == (
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        ["key.name"],
    )


async def test_the_programs_repeat_a_read_while_the_database_is_away(
    clients: dict[str, Client], database_url: str
) -> None:
    readers = clients | {"python": PYTHON}
    async with proxied(database_url) as (database, url), measured_service(url) as (service, metrics):
        await database.cut()
        answers = (answer_of(reader, service.address, "shop", "web") for reader in readers.values())
        for refused in await asyncio.gather(*answers):
            assert (refused["code"], refused["reason"]) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
            assert refused["retrySeconds"] > 0
        labels = {"method": "ConfigurationService/GetConfiguration", "code": "UNAVAILABLE"}
        assert await metrics.value("configsvc_calls_total", **labels) == ATTEMPTS * len(readers)
        database.restore()


@asynccontextmanager
async def guarded(database_url: str, folder: Path) -> AsyncGenerator[tuple[str, dict[str, str]]]:
    """Run a service with TLS and tokens; yield its address, and the variables that name the files for a client."""
    authority = Authority()
    files = files_in(folder, authority)
    settings = oidc_settings(folder, tls_certificate_file=files.certificate, tls_key_file=files.key)
    async with running_service(database_url, credentials=authority.trusting(), **settings) as service:
        variables = {"CONFIGSVC_CA_FILE": str(files.authorities), "CONFIGSVC_TOKEN_FILE": str(folder / "token")}
        yield service.address, variables


async def test_a_program_uses_tls_and_sends_its_token(
    reader: Client, database_url: str, psql: "Psql", tmp_path: Path
) -> None:
    if not reader.has_tls:
        pytest.skip("Debian's netty for Java has no ALPN, which gRPC over TLS needs")
    await put(psql, "web", '{"replicas": 3}')
    (tmp_path / "token").write_text(token("root") + "\n", encoding="ascii")
    async with guarded(database_url, tmp_path) as (address, variables):
        found = await answer_of(reader, address, "shop", "web", **variables)
        assert found["content"] == {"replicas": 3}
        del variables["CONFIGSVC_TOKEN_FILE"]
        refused = await answer_of(reader, address, "shop", "web", **variables)
        assert (refused["code"], refused["reason"]) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


async def test_the_programs_read_their_token_again_when_it_has_expired(
    clients: dict[str, Client], database_url: str, psql: "Psql", tmp_path: Path
) -> None:
    with_tls = {language: client for language, client in clients.items() if client.has_tls}
    await put(psql, "web", "{}")
    (tmp_path / "token").write_text(token("root", exp=1), encoding="ascii")
    async with (
        guarded(database_url, tmp_path) as (address, variables),
        following(with_tls, address, "shop", **variables) as programs,
    ):
        assert await programs.agreed("ended", "reason") == "UNAUTHENTICATED"
        (tmp_path / "token").write_text(token("root"), encoding="ascii")
        assert await programs.agreed("view", "contents") == {"web": {}}


async def test_the_programs_give_up_a_watch_that_can_never_succeed(
    clients: dict[str, Client], service: Service
) -> None:
    async with following(clients, service.address, "..") as programs:
        faults = await programs.agreed("ended", "faults", reason="INVALID_REQUEST")
        assert list(faults) == ["selectors[0].application.name"]
        assert await programs.exit_codes() == {1}


async def test_the_programs_apply_a_commit_or_a_snapshot_of_many_messages_as_one_step(
    clients: dict[str, Client], service: Service, psql: "Psql"
) -> None:
    await put(psql, "web", "{}")
    await psql.execute(
        """INSERT INTO configurations (application, name, comments, config)
        SELECT 'shop', 'many/' || number, repeat('x', 1000), '{}' FROM generate_series(1, $1::int) AS number""",
        MANY,
    )
    async with following(clients, service.address, "shop") as programs:
        assert len(await programs.agreed("view", "changed")) == MANY + 1
        await psql.execute("UPDATE configurations SET comments = repeat('y', 1000) WHERE name LIKE 'many/%'")
        assert len(await programs.agreed("view", "changed")) == MANY
        await psql.execute("DELETE FROM configurations WHERE name LIKE 'many/%'")
        assert await programs.agreed("view", "contents") == {"web": {}}
        await psql.execute("UPDATE configurations SET name = 'www' WHERE name = 'web'")
        assert await programs.agreed("view", "contents") == {"www": {}}


async def address_of_service(database_url: str) -> str:
    """Return the address of a service that has ended."""
    async with running_service(database_url) as service:
        return service.address


async def test_the_programs_lose_and_repeat_no_change_when_the_service_or_they_are_killed(
    clients: dict[str, Client], database_url: str, psql: "Psql", tmp_path: Path
) -> None:
    listen, file = await address_of_service(database_url), str(tmp_path / "LANGUAGE.json")
    await put(psql, "api", "{}")
    await put(psql, "web", '{"replicas": 1}')
    async with proxied_address(listen) as (network, address), following(clients, address, "shop", file) as programs:
        async with running_service(database_url, listen=listen):
            assert await programs.agreed("view", "changed") == ["api@1", "web@1"]
            # The service has no chance to take its leave.
            await network.cut()
            assert await programs.agreed("ended", "reason") == ""
        await put(psql, "web", '{"replicas": 2}')
        await put(psql, "web", '{"replicas": 3}')
        network.restore()
        async with running_service(database_url, listen=listen):
            assert await programs.agreed("view", "changed") == ["web@2"]
            assert await programs.agreed("view", "changed") == ["web@3"]
            await put(psql, "web", '{"replicas": 4}')
            assert await programs.agreed("view", "changed") == ["web@4"]
    await put(psql, "web", '{"replicas": 5}')
    async with running_service(database_url, listen=listen), following(clients, listen, "shop", file) as programs:
        assert await programs.agreed("view", "contents", changed=["web@5"]) == {"api": {}, "web": {"replicas": 5}}


async def test_the_programs_keep_their_copy_until_the_snapshot_of_another_history_is_whole(
    clients: dict[str, Client], database_url: str, psql: "Psql", postgres_server: str, template_database: str
) -> None:
    listen = await address_of_service(database_url)
    await put(psql, "web", "{}")
    await put(psql, "gone", "{}")
    async with following(clients, listen, "shop") as programs:
        async with running_service(database_url, listen=listen):
            assert await programs.agreed("view", "contents") == {"web": {}, "gone": {}}
        await psql.execute("DELETE FROM configurations WHERE name = 'gone'")
        await psql.execute("UPDATE compaction SET revision = 4")
        async with running_service(database_url, listen=listen):
            assert await programs.agreed("ended", "kept", reason="REVISION_COMPACTED") == 2
            assert await programs.agreed("view", "contents") == {"web": {}}
        async with cloned_database(postgres_server, template_database) as other:
            async with plain_connection(other) as session:
                await put(session, "www", "{}")
            async with running_service(other, listen=listen):
                assert await programs.agreed("ended", "kept", reason="EPOCH_CHANGED") == 1
                assert await programs.agreed("view", "contents") == {"www": {}}


async def test_the_programs_notice_a_connection_that_is_silently_lost(
    clients: dict[str, Client], service: Service, psql: "Psql"
) -> None:
    await put(psql, "web", "{}")
    async with (
        proxied_address(service.address) as (network, address),
        following(clients, address, "shop", PROGRESS_SECONDS="1") as programs,
    ):
        assert await programs.agreed("view", "contents") == {"web": {}}
        network.swallow()
        await put(psql, "web", '{"replicas": 1}')
        await programs.agreed("lost", "event")
        assert await programs.agreed("view", "contents") == {"web": {"replicas": 1}}
