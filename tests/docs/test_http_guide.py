"""The commands of the guide to HTTP, and of the README, work as they stand."""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from google.rpc.code_pb2 import Code

from configsvc.web.errors import HTTP_STATUSES
from tests.docs.test_guide import LIMIT_SECONDS, README, blocks, document, line_with, process
from tests.service import Service, running_service

GUIDE = "docs/guide/http.md"
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


@pytest.fixture
async def web(database_url: str) -> AsyncGenerator[Service]:
    async with running_service(database_url, http_listen="127.0.0.1:0") as running:
        yield running


async def output_of(command: str, folder: Path) -> str:
    started = await asyncio.create_subprocess_exec(
        "bash",
        *("-c", command),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        output, _ = await started.communicate()
    assert started.returncode == 0, command
    return output.decode()


def commands(path: str, language: str, service: Service) -> list[str]:
    text = "\n\n".join(found.strip() for found in blocks(path, language))
    return text.replace("localhost:50080", service.http_address).split("\n\n")


async def test_the_guide_to_http_works_as_it_stands(web: Service, tmp_path: Path) -> None:
    create, put, get, patch, again, operations, history, back, find, update, many, export, delete = commands(
        GUIDE, "sh", web
    )
    assert '"name":"shop"' in await output_of(create, tmp_path)
    assert '"config":{"tls": {"minimum": "1.2"}, "replicas": 3}' in await output_of(put, tmp_path)
    twice = await output_of(f"{get}\necho $etag > etag", tmp_path)
    assert "200 OK" in twice
    assert "304 Not Modified" in twice
    etag = f"etag='{(tmp_path / 'etag').read_text(encoding='utf-8').strip()}'\n"
    assert '"config":{"replicas": 5}' in await output_of(etag + patch, tmp_path)
    refused = await output_of(etag + again, tmp_path)
    assert "409 Conflict" in refused
    assert "VERSION_MISMATCH" in refused
    assert '"config":{"zone": "b", "replicas": 5}' in await output_of(operations, tmp_path)
    listed = await output_of(history, tmp_path)
    assert '"reason":"more load"' in listed
    assert "/zone" in listed
    assert [await output_of(back, tmp_path)] * 2 == [await output_of(back, tmp_path)] * 2
    assert '"name":"team/web"' in await output_of(find, tmp_path)
    assert '"comments":"the shop window"' in await output_of(update, tmp_path)
    assert '"changed":true' in await output_of(many, tmp_path)
    assert '"name":"team/web"' in await output_of(export, tmp_path)
    assert '"revision":' in await output_of(delete, tmp_path)


async def test_the_three_lines_of_the_readme_work_as_they_stand(web: Service, tmp_path: Path) -> None:
    await output_of(
        f"curl -H 'Content-Type: application/json' -d '{{\"name\": \"shop\"}}' {web.http_address}/api/v1/applications",
        tmp_path,
    )
    (lines,) = commands(README, "shell", web)
    put, get, watch = lines.splitlines()
    async with process("bash", "-c", watch) as watching:
        await line_with("event: synced", watching)
        assert '"config":{"replicas": 3}' in await output_of(put, tmp_path)
        assert '"config":{"replicas": 3}' in await output_of(get, tmp_path)
        await line_with("event: change", watching)


def test_the_guide_has_the_status_of_every_code() -> None:
    rows = re.findall(r"^\| ([A-Z_, ]+) \| (\d{3})[^|]*\|$", document(GUIDE), re.MULTILINE)
    listed = {Code.Value(code): int(status) for codes, status in rows for code in codes.split(", ")}
    assert listed == HTTP_STATUSES
