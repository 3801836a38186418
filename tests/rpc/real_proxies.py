"""Real proxies in front of the service, with the files of deploy/."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.identity.authorities import Authority
from tests.service import LIMIT_SECONDS, POLL_SECONDS

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One proxy: its program, its file in deploy/, its command line, and the signal that reloads it."""

    program: str
    file: str
    command: Callable[[str, Path], list[str]]
    reload: signal.Signals | None
    # What listens in clear text, instead of with TLS.
    plain: tuple[tuple[str, str], ...]


def _nginx(program: str, file: Path) -> list[str]:
    user = "user root; " if os.geteuid() == 0 else ""
    return [program, "-p", str(file.parent), "-c", str(file), "-g", f"{user}daemon off; pid nginx.pid;"]


KINDS = {
    "nginx": Kind(
        program="nginx",
        file="nginx.conf",
        command=_nginx,
        reload=signal.SIGHUP,
        plain=((r"listen (\S+) ssl http2;", r"listen \1 http2;"), (r"ssl_certificate\S* \S+;", "")),
    ),
    "haproxy": Kind(
        program="haproxy",
        file="haproxy.cfg",
        command=lambda program, file: [program, "-W", "-db", "-f", str(file)],
        reload=signal.SIGUSR2,
        plain=((r"bind (\S+) ssl .*", r"bind \1 proto h2"),),
    ),
    "envoy": Kind(
        program=str(Path(sys.executable).with_name("envoy")),
        file="envoy.yaml",
        command=lambda program, file: [program, "-c", str(file), "-l", "error", "--disable-hot-restart"],
        # Envoy takes a new configuration from its control plane.
        reload=None,
        plain=((r"transport_socket:\n(?:            .*\n)+", "name: clients\n"),),
    ),
}


# Shorter than the interval of the bookmarks that some watches ask for.
SHORT_TIMEOUTS = {
    "nginx": ((r"grpc_read_timeout 120s", "grpc_read_timeout 1s"), (r"grpc_send_timeout 120s", "grpc_send_timeout 1s")),
    "haproxy": ((r"timeout client 120s", "timeout client 1s"), (r"timeout server 120s", "timeout server 1s")),
    "envoy": ((r"stream_idle_timeout: 120s", "stream_idle_timeout: 1s"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RealProxy:
    """A running proxy."""

    kind: Kind
    address: str
    process: subprocess.Popen[bytes]

    def reload(self) -> None:
        assert self.kind.reload is not None
        self.process.send_signal(self.kind.reload)


def required(name: str) -> Kind:
    """Return the kind of proxy. Skips the test if it is not installed."""
    return installed(KINDS[name])


def installed(kind: Kind) -> Kind:
    """Return a kind of proxy. Skips the test if it is not installed."""
    if not shutil.which(kind.program):
        pytest.skip(f"{kind.program} is not installed")
    return kind


@asynccontextmanager
async def running_proxy(
    kind: Kind, folder: Path, upstream: str, authority: Authority | None, *changes: tuple[str, str]
) -> AsyncGenerator[RealProxy]:
    """Run a proxy in front of the address, with its file in deploy/ and these changes (each pattern must occur).

    Without an authority it listens in clear text.
    """
    port = _free_port()
    file = folder / kind.file
    text = (DEPLOY / kind.file).read_text(encoding="utf-8")
    host, _, upstream_port = upstream.rpartition(":")
    local = [
        (r"\b127\.0\.0\.1:(50051|50080)\b", upstream),
        (r"address: 127\.0\.0\.1, port_value: (50051|50080)\b", f"address: {host}, port_value: {upstream_port}"),
        (r"(listen |bind :)8443\b", rf"\g<1>{port}"),
        (r"address: 0\.0\.0\.0, port_value: 8443\b", f"address: 127.0.0.1, port_value: {port}"),
        (r"/etc/ssl/configsvc/", f"{folder}/"),
        # As many connections as the open files of a machine for tests allow.
        (r"\b(maxconn|worker_connections) 32768\b", r"\1 1024"),
        (r"worker_rlimit_nofile \d+;", ""),
        # nginx alone: folders that another user may own.
        (r"^http \{", f"http {{ {_temporary(folder)}"),
    ]
    for pattern, replacement in local:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    for pattern, replacement in (*changes, *(() if authority else kind.plain)):
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    if authority:
        pair = authority.server_pair()
        (folder / "server.pem").write_bytes(pair.certificate + (pair.key if kind.program == "haproxy" else b""))
        (folder / "server-key.pem").write_bytes(pair.key)
    file.write_text(text, encoding="utf-8")
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(kind.command(kind.program, file), stdout=log, stderr=log)
    try:
        await _until_it_listens(port, process, folder / "proxy.log")
        yield RealProxy(kind=kind, address=f"127.0.0.1:{port}", process=process)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, LIMIT_SECONDS)


def _temporary(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


async def _until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(POLL_SECONDS)
            else:
                writer.close()
                return
