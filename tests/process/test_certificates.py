"""TLS of the program as a process, and of its workers."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from tests.api.calls import create, create_application
from tests.identity.authorities import Authority, files_in, uri
from tests.identity.tokens import bearing, oidc_settings
from tests.process.running import LIMIT_SECONDS, Program, program
from tests.rpc.handshakes import next_message, version_spoken
from tests.service import connected


async def test_workers_take_a_new_certificate_while_streams_go_on(tmp_path: Path, database_url: str) -> None:
    authority = Authority()
    files = files_in(tmp_path, authority)
    settings = oidc_settings(tmp_path) | files.settings("oidc,mtls")
    both: dict[str, Any] = {name: str(value) for name, value in settings.items()}
    both["admins"] += ",user:root"
    both |= {"listen": "127.0.0.1:0", "mtls_listen": "127.0.0.1:0"}
    async with program(tmp_path, "serve", database_url=database_url, workers="2", **both) as running:
        ready = await running.wait_for("ready")
        assert (ready["auth"], ready["tls"], ready["workers"]) == ("oidc,mtls", True, 2)
        assert f"grpcurl -insecure localhost:{ready['listen'].rpartition(':')[2]} list" in ready["try_this"]
        async with connected(
            ready["mtls_listen"], asyncio.Event(), authority.trusting(authority.pair(uri()))
        ) as service:
            await create_application(service)
            watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
            assert (await next_message(watch)).synced
            successor = Authority()
            files.write(successor.server_pair(), [successor])
            await _new_certificate_in_both(running, ready["listen"], successor)
            assert await asyncio.to_thread(version_spoken, ready["listen"], ssl.TLSVersion.TLSv1_3)
            async with connected(ready["listen"], asyncio.Event()) as in_clear_text:
                with pytest.raises(grpc.aio.AioRpcError):
                    await in_clear_text.applications.ListApplications(ListApplicationsRequest())
            await create(service, "web")
            while not (await next_message(watch)).events:
                pass
    # Handshakes that fail write nothing to standard error beside the log.
    others = [line for line in running.lines if not line.startswith("{")]
    assert not any("handshake" in line.lower() or "ssl" in line.lower() for line in others), others


async def _new_certificate_in_both(running: Program, address: str, authority: Authority) -> None:
    """Connect until both workers have loaded it; each connection is good for a call with a token."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while {event["worker"] for event in running.events("certificate loaded")[2:]} != {0, 1}:
            async with connected(address, asyncio.Event(), authority.trusting()) as service:
                await service.applications.ListApplications(ListApplicationsRequest(), metadata=bearing("root"))


async def test_a_certificate_that_is_not_there_is_reported_at_the_start(tmp_path: Path, database_url: str) -> None:
    files: dict[str, Any] = {"tls_certificate_file": "missing.pem", "tls_key_file": "missing-key.pem"}
    async with program(tmp_path, "serve", listen="127.0.0.1:0", database_url=database_url, **files) as running:
        assert await running.exit_code() == 1
    assert running.lines[-1] == "configsvc: missing.pem cannot be read: No such file or directory"
