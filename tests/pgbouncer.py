"""A real pgbouncer in front of a database of the tests."""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.proxy import proxied

LIMIT_SECONDS = 20.0
PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

# The parameters that drivers send, as people write them.
USUAL_IGNORED = (
    "extra_float_digits, application_name, search_path, jit, statement_timeout, lock_timeout, plan_cache_mode, "
    "default_transaction_read_only, idle_in_transaction_session_timeout, options"
)


@asynccontextmanager
async def pooled(url: str, *, mode: str, **settings: str) -> AsyncGenerator[str]:
    """Yield a URL of the database by way of a pgbouncer in this mode, with other settings of its ini file."""
    assert PROGRAM
    async with proxied(url) as (_, direct):
        parts = urlsplit(direct)
        port = _free_port()
        with tempfile.TemporaryDirectory(prefix="configsvc-pgbouncer-") as folder:
            ini = Path(folder) / "pgbouncer.ini"
            Path(folder).chmod(0o755)
            lines = {
                "listen_addr": "127.0.0.1",
                "listen_port": str(port),
                "unix_socket_dir": "",
                "auth_type": "any",
                "pool_mode": mode,
                "default_pool_size": "60",
                "max_client_conn": "200",
                "ignore_startup_parameters": USUAL_IGNORED,
                "server_reset_query": "DISCARD ALL",
            } | settings
            ini.write_text(
                f"[databases]\n* = host={parts.hostname} port={parts.port} user={parts.username}\n[pgbouncer]\n"
                + "".join(f"{name} = {value}\n" for name, value in lines.items()),
                encoding="utf-8",
            )
            process = await asyncio.create_subprocess_exec(
                *(PROGRAM, "-q", *(("-u", "nobody") if os.geteuid() == 0 else ()), str(ini)),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await _until_listening(process, port)
                yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


async def _until_listening(process: Any, port: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            assert process.returncode is None, "pgbouncer does not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
