"""Connections to Redis: the forms of its URL, users, TLS, and passwords that appear nowhere."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from configsvc.redis.url import BadRedisUrlError, RedisUrl, parse_redis_url
from tests.configurations.numbers import shop
from tests.configurations.processes import Process, process, web
from tests.identity.authorities import Authority, files_in
from tests.identity.provider import reserved_port
from tests.redis import RedisServer, needs_redis, redis_server
from tests.service import LIMIT_SECONDS, POLL_SECONDS, settings_of
from tests.storage.reading import Session

PASSWORD = "xyzzyPASSWORD"


PLAIN = RedisUrl(
    host="cache", port=6379, path="", database=0, user="", password="", uses_tls=False, files=dict[str, str]()
)
TLS = replace(PLAIN, uses_tls=True)
SOCKET = replace(PLAIN, host="", path="/run/redis.sock")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("redis://cache", PLAIN),
        ("redis://10.1.2.3:6380/2", replace(PLAIN, host="10.1.2.3", port=6380, database=2)),
        ("redis://[::1]:6380", replace(PLAIN, host="::1", port=6380)),
        ("redis://:p%40ss%2F@cache/0", replace(PLAIN, password="p@ss/")),
        ("redis://ann:secret@cache", replace(PLAIN, user="ann", password="secret")),
        ("rediss://cache", TLS),
        ("rediss://cache/1?ssl_ca_certs=%2Fca.pem", replace(TLS, database=1, files={"ssl_ca_certs": "/ca.pem"})),
        ("unix:///run/redis.sock", SOCKET),
        ("unix://ann:secret@/run/redis.sock?db=3", replace(SOCKET, database=3, user="ann", password="secret")),
    ],
)
def test_the_parts_of_a_url_are_read(text: str, parsed: RedisUrl) -> None:
    assert parse_redis_url(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        f"http://a:{PASSWORD}@cache",
        f"redis://a:{PASSWORD}/1@cache",
        f"redis://a:#{PASSWORD}@cache",
        f"redis://a:{PASSWORD}@",
        f"redis://a:{PASSWORD}@cache:70000",
        f"redis://a:{PASSWORD}@cache:0",
        f"redis://a:{PASSWORD}@cache/x",
        f"redis://a@cache?password={PASSWORD}",
        f"redis://a:{PASSWORD}@cache?ssl_ca_certs=a",
        f"rediss://a:{PASSWORD}@cache?ssl_cert_reqs=none",
        f"unix://a:{PASSWORD}@run/redis.sock",
        f"unix://a:{PASSWORD}@/run/redis.sock?db=x",
        PASSWORD,
    ],
)
def test_a_url_that_is_none_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(BadRedisUrlError) as caught:
        parse_redis_url(text)
    assert PASSWORD not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        settings_of(redis_url=text)
    assert PASSWORD not in str(refused.value.errors(include_url=False, include_input=False))


@asynccontextmanager
async def used(psql: Session, database_url: str, redis: RedisServer, redis_url: str) -> AsyncGenerator[Process]:
    """Yield a process that has left an entry in the Redis at the URL."""
    await shop(psql, "web")
    async with process(database_url, redis_url) as one:
        await one.read(web())
        await redis.until_entries(1)
        one.forget()
        await one.read(web())
        assert one.count("used") == 1
        yield one


@needs_redis
async def test_a_user_who_may_only_read_and_write_entries_is_enough(psql: Session, database_url: str) -> None:
    async with redis_server() as redis:
        rules = "on >p@ss resetkeys ~configsvc:* resetchannels -@all +mget +set +select"
        await redis.client.execute_command("ACL", "SETUSER", "configsvc", *rules.split())
        async with used(psql, database_url, redis, redis.url.replace("//", "//configsvc:p%40ss@") + "?db=0"):
            pass


@needs_redis
async def test_a_port_of_loopback_is_used(psql: Session, database_url: str) -> None:
    with reserved_port() as port:
        pass
    async with (
        redis_server("--port", str(port), "--bind", "127.0.0.1") as redis,
        used(psql, database_url, redis, f"redis://127.0.0.1:{port}/0"),
    ):
        pass


@needs_redis
async def test_over_tls_the_certificate_of_the_server_is_verified(
    psql: Session, database_url: str, tmp_path: Path
) -> None:
    authority = Authority()
    with reserved_port() as port:
        pass
    files = files_in(tmp_path, authority)
    own = ("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key), "--tls-auth-clients", "no")
    options = ("--tls-port", str(port), "--bind", "127.0.0.1", "--tls-ca-cert-file", str(files.authorities), *own)
    async with redis_server(*options) as redis:
        url = f"rediss://localhost:{port}"
        async with used(psql, database_url, redis, f"{url}?ssl_ca_certs={files.authorities}"):
            pass
        with capture_logs() as lines:
            await until_away(database_url, url)
    assert any("certificate verify failed" in line.get("error", "") for line in lines)


async def until_away(database_url: str, redis_url: str) -> None:
    """Run a process until it has failed to use Redis."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Process, "ready", lambda _: asyncio.sleep(0))
        async with process(database_url, redis_url) as one, asyncio.timeout(LIMIT_SECONDS):
            while not one.store._reads.failures:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def parroting() -> AsyncGenerator[str]:
    """Run a server that repeats what it does not understand, as Redis does; yield its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            words = data.decode(errors="replace").split()[2::2]
            said = " ".join(words)
            writer.write(f"-ERR unknown command {said}, with args beginning with: {said}\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@needs_redis
async def test_no_password_gets_into_the_log(database_url: str) -> None:
    async with redis_server() as redis, parroting() as address:
        await redis.client.config_set("requirepass", "another")
        wrong = redis.url.replace("//", f"//:{PASSWORD}@")
        for url in (wrong, f"redis://ann:{PASSWORD}@{address}", f"redis://ann:{PASSWORD}@127.0.0.1:1"):
            with capture_logs() as lines:
                await until_away(database_url, url)
            told = [line for line in lines if "Redis" in line["event"]]
            assert [line["event"] for line in told] == ["Redis is away: reads go to the database"]
            assert PASSWORD not in str(lines)
