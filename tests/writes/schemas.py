"""Schemas, created as a session of psql creates them."""

import json
from typing import TYPE_CHECKING

from configapi.v1.schema_pb2 import SchemaVersionRef
from configsvc.domain.content import JsonObject

if TYPE_CHECKING:
    import asyncpg

    Session = asyncpg.Connection[asyncpg.Record]

REPLICAS: JsonObject = {
    "type": "object",
    "properties": {"replicas": {"type": "integer", "minimum": 1}},
    "required": ["replicas"],
    "additionalProperties": False,
}
# Nothing satisfies both this and REPLICAS.
NAMED: JsonObject = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


async def make_schema(session: "Session", name: str, *documents: JsonObject) -> None:
    """Create a schema with these versions."""
    await session.execute("INSERT INTO schemas (name) VALUES ($1)", name)
    for document in documents:
        await add_version(session, name, document)


async def add_version(session: "Session", name: str, document: JsonObject) -> None:
    """Add the next version of a schema; no pin moves to it."""
    await session.execute("INSERT INTO schema_versions (schema, document) VALUES ($1, $2)", name, json.dumps(document))


async def refer(session: "Session", schema: str, version: int, to: str, to_version: int) -> None:
    """Record that a document refers to another."""
    await session.execute("INSERT INTO schema_references VALUES ($1, $2, $3, $4)", schema, version, to, to_version)


def pin(schema: str, version: int = 0) -> SchemaVersionRef:
    return SchemaVersionRef(schema=schema, version=version)
