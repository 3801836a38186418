"""One data folder and its server. Callers must hold the folder's lock."""

import asyncio
import hashlib
import os
import shlex
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
import structlog

from configsvc.embedded.account import Account
from configsvc.embedded.errors import EmbeddedPostgresError
from configsvc.embedded.process import KILL_LIMIT, POLL, Postmaster, disown_pid, ended, run, running_postmaster, send

log = structlog.get_logger()

# The name of both the database and the role.
NAME = "configsvc"
PORT = 5432

# Seconds.
INITDB_LIMIT = 120.0
# Includes recovery after a crash.
START_LIMIT = 90.0
FAST_STOP_LIMIT = 20.0
IMMEDIATE_STOP_LIMIT = 5.0
CONNECT_LIMIT = 10.0

# PostgreSQL refuses to start until the backends of a killed server have ended.
START_ATTEMPTS = 4
START_PAUSE = 0.3

# Bytes of a socket's path without the terminating zero: 107 on Linux, 103 on macOS and the BSDs.
SOCKET_PATH_LIMIT = 103
LOG_TAIL_LINES = 15

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The PostgreSQL of a data folder."""

    data_dir: Path
    binaries: Path
    # None: the account of this process.
    account: Account | None
    parameters: Mapping[str, str]

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.data_dir / "postgres"

    @property
    def start_lock(self) -> Path:
        """The file to lock while the server is started or stopped."""
        return self.data_dir / "start.lock"

    @property
    def log_file(self) -> Path:
        """The server's output since its last start."""
        return self.data_dir / "postgres.log"

    async def ensure_running(self) -> str:
        """Start the server unless it runs, and return the database's URL. Raises EmbeddedPostgresError."""
        try:
            self._open_ways()
            await self._initialise()
            if running_postmaster(self.data) is None:
                self._fresh_log()
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot prepare the embedded PostgreSQL: {error}") from error
        return await self.restart()

    async def restart(self) -> str:
        """Start the server again if it has ended, and return the database's URL. Raises EmbeddedPostgresError."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(START_LIMIT):
                postmaster = await self._ready()
        except TimeoutError as error:
            raise self._error(f"the embedded PostgreSQL was not ready after {START_LIMIT:.0f} s") from error
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot start the embedded PostgreSQL: {error}") from error
        url = _url(postmaster.socket_folder)
        await _ensure_database(url)
        log.info("embedded PostgreSQL ready", data=str(self.data), seconds=round(time.monotonic() - began, 3))
        return url

    async def stop(self) -> None:
        """Stop the server if it runs, by force if necessary. Raises EmbeddedPostgresError."""
        steps = ((signal.SIGINT, FAST_STOP_LIMIT), (signal.SIGQUIT, IMMEDIATE_STOP_LIMIT), (signal.SIGKILL, KILL_LIMIT))
        for number, limit in steps:
            postmaster = running_postmaster(self.data)
            if postmaster is None:
                return
            send(postmaster.process, number)
            if await ended(postmaster.process, limit):
                with suppress(OSError):
                    postmaster.socket_folder.rmdir()
                log.info("embedded PostgreSQL stopped", signal=number.name)
                return
        raise self._error("the embedded PostgreSQL did not stop")

    def _open_ways(self) -> None:
        if self.account:
            self.account.open_way(self.data_dir)
            self.account.open_way(self.binaries)
            self.account.require_readable(self.binaries / "postgres")

    async def _initialise(self) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        # Renamed when complete, so that an interrupted initdb leaves no folder that looks usable.
        fresh = self.data_dir / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._make_folder(fresh)
        try:
            await run(self._initdb(fresh), account=self.account, limit=INITDB_LIMIT)
            fresh.rename(self.data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _initdb(self, folder: Path) -> list[str]:
        options = [f"--username={NAME}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        if self.parameters.get("fsync") == "off":
            options.append("--no-sync")
        return [str(self.binaries / "initdb"), "-D", str(folder), *options]

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        if self.account:
            self.account.own(folder)

    async def _ready(self) -> Postmaster:
        while True:
            postmaster = running_postmaster(self.data)
            if postmaster is None:
                await self._start()
            elif postmaster.state == "ready":
                return postmaster
            else:
                # It is starting, on behalf of a process that was killed meanwhile, or stopping.
                await asyncio.sleep(POLL)

    async def _start(self) -> None:
        await self._check_version()
        socket_folder = self._socket_folder()
        for attempt in range(1, START_ATTEMPTS + 1):
            disown_pid(self.data)
            (socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
            try:
                await self._launch(socket_folder)
            except EmbeddedPostgresError as error:
                if attempt == START_ATTEMPTS:
                    raise self._error("the embedded PostgreSQL did not start") from error
                await asyncio.sleep(START_PAUSE)
            else:
                return

    async def _launch(self, socket_folder: Path) -> None:
        starting = asyncio.create_task(run(self._pg_ctl(socket_folder), account=self.account, limit=START_LIMIT))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # pg_ctl must not be killed: until the server has written its pid file, nothing else can find it.
            while not starting.done():
                postmaster = running_postmaster(self.data)
                if postmaster:
                    send(postmaster.process, signal.SIGINT)
                await asyncio.wait([starting], timeout=POLL)
            starting.exception()
            raise

    def _pg_ctl(self, socket_folder: Path) -> list[str]:
        # PostgreSQL's own list syntax: the quotes protect commas and spaces.
        folders = '"' + str(socket_folder).replace('"', '""') + '"'
        settings = {**SETTINGS, "unix_socket_directories": folders, **self.parameters}
        options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        waiting = ["--wait", f"--timeout={START_LIMIT:.0f}", "--silent"]
        paths = ["-D", str(self.data), "-l", str(self.log_file)]
        return [str(self.binaries / "pg_ctl"), "start", *paths, "-o", options, *waiting]

    async def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        printed = await run([str(self.binaries / "postgres"), "--version"], account=None, limit=CONNECT_LIMIT)
        programs = printed.rpartition(" ")[2].partition(".")[0]
        if programs != found:
            raise EmbeddedPostgresError(
                f"the data in {self.data} is from PostgreSQL {found}, but the embedded PostgreSQL is {programs}: "
                f"transfer it with pg_dumpall of {found}, or set another CONFIGSVC_DATA_DIR"
            )

    def _socket_folder(self) -> Path:
        folder = self.data_dir / "socket"
        # A comma in the URL's host would separate two hosts.
        if "," in str(folder) or len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > SOCKET_PATH_LIMIT:
            digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()).resolve() / f"configsvc-{digest}"
        if not folder.exists():
            self._make_folder(folder)
        self._require_private(folder)
        if self.account:
            self.account.open_way(folder.parent)
        return folder

    def _require_private(self, folder: Path) -> None:
        # Anyone may have created a folder of this name in the temporary folder.
        status = folder.lstat()
        owner = self.account.user if self.account else os.geteuid()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or stat.S_IMODE(status.st_mode) & 0o077:
            raise EmbeddedPostgresError(f"{folder} is not private to the user that runs PostgreSQL: remove it")

    def _fresh_log(self) -> None:
        if self.log_file.exists():
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        self.log_file.touch(mode=0o600)
        if self.account:
            self.account.own(self.log_file)

    def _error(self, text: str) -> EmbeddedPostgresError:
        printed = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        tail = "\n".join(printed[-LOG_TAIL_LINES:])
        return EmbeddedPostgresError(f"{text}; the end of {self.log_file}:\n{tail}")


def _url(socket_folder: Path) -> str:
    return f"postgresql://{NAME}@/{NAME}?host={quote(str(socket_folder))}&port={PORT}"


async def _ensure_database(url: str) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_LIMIT, command_timeout=CONNECT_LIMIT)
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(
            url, database="postgres", timeout=CONNECT_LIMIT, command_timeout=CONNECT_LIMIT
        )
        await connection.execute(f"CREATE DATABASE {NAME}")
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise EmbeddedPostgresError(f"the embedded PostgreSQL runs but refused a connection: {error}") from error
    await connection.close(timeout=CONNECT_LIMIT)
