"""The OpenAPI document against the service: schemathesis calls every operation, and compares each answer with it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import CreateConfigurationRequest
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from tests.service import Service, struct

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "generated" / "configapi" / "openapi.json"
PROGRAM = Path(sys.executable).with_name("schemathesis")
# Seconds. More only in the long form: make conformance.
LONG = os.environ.get("CONFIGSVC_CONFORMANCE") == "long"
LIMIT_SECONDS = 3600 if LONG else 300
PHASES = "examples,coverage,fuzzing,stateful" if LONG else "examples,coverage,fuzzing"
MAX_EXAMPLES = "300" if LONG else "3"
# In the short form, the fuzzing alone makes requests that the document does not allow: the coverage has 6,000 of them.
SETTINGS = "" if LONG else '[phases.coverage.generation]\nmode = "positive"\n'
SEED = "1"
# The first two ask that every value that the document allows is accepted, and every other one refused. It states less
# than there is to know: a time in the future, a filter that is no path. Tokens are not read here.
UNCHECKED = ("positive_data_acceptance", "negative_data_rejection", "ignored_auth")

pytestmark = pytest.mark.timeout(LIMIT_SECONDS)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with answers that have the fields that are described, and no others."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return document


async def with_examples(service: Service) -> None:
    """Create what the examples of the document name."""
    shop = ApplicationRef(name="shop")
    await service.configurations.CreateConfiguration(
        CreateConfigurationRequest(application=shop, name="web", config=struct({"replicas": 3}))
    )
    await service.schemas.CreateSchema(CreateSchemaRequest(name="service", document=struct({"type": "object"})))


async def test_no_answer_is_a_server_error_or_other_than_documented(http: Service, tmp_path: Path) -> None:
    await with_examples(http)
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(strict(json.loads(DOCUMENT.read_text(encoding="utf-8")))), encoding="utf-8")
    own_settings = tmp_path / "schemathesis.toml"
    own_settings.write_text(SETTINGS, encoding="utf-8")
    arguments = [
        *("--url", f"http://{http.http_address}", "--seed", SEED, "--phases", PHASES),
        *("--max-examples", MAX_EXAMPLES, "--exclude-checks", ",".join(UNCHECKED)),
        *("--suppress-health-check", "all", "--no-shrink", "--generation-database", "none"),
        *("--warnings", "off", "--continue-on-failure", "--request-timeout", "30"),
    ]
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, "--no-color", "--config-file", own_settings, "run", file, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.web.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
