"""Examples of the operations that people try first, by operationId."""

from typing import Any

Json = dict[str, Any]

_JSON = "application/json"
_CONTENT: Json = {"replicas": 3, "tls": {"minimum": "1.2"}}
_SHOP: Json = {
    "id": "01K9QDS1V7D3F1J2N4R5S6T7V8",
    "name": "shop",
    "version": "1",
    "revision": "7",
    "create_time": "2026-01-31T12:00:00.123456Z",
    "update_time": "2026-01-31T12:00:00.123456Z",
    "etag": "ab1",
}
_WEB: Json = {
    "id": "01K9QDT5M0A1B2C3D4E5F6G7H8",
    "application_id": _SHOP["id"],
    "application": "shop",
    "name": "web",
    "config": _CONTENT,
    "version": "1",
    "revision": "8",
    "create_time": "2026-01-31T12:00:01.123456Z",
    "update_time": "2026-01-31T12:00:01.123456Z",
    "created_by": "anonymous",
    "updated_by": "anonymous",
    "etag": "cd1",
}
_CHANGED: Json = {**_WEB, "config": {"replicas": 5}, "version": "2", "revision": "9", "etag": "cd2"}
_EPOCH = "1f0c2a4e"
_KEY: Json = {"application": "shop", "name": "web"}
_SCHEMA_DOCUMENT: Json = {"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 1}}}

# Names of resources, by their kind.
NAMES = {"application": "shop", "configuration": "web", "schema": "service"}

BODIES: dict[str, Json] = {
    "CreateApplication": {_JSON: {"name": "shop", "reason": "first steps"}},
    "UpdateApplication": {_JSON: {"comments": "the shop and its back office"}},
    "CreateConfiguration": {_JSON: {"name": "web", "config": _CONTENT, "reason": "first steps"}},
    "CreateConfigurationByBody": {_JSON: {"application": {"name": "shop"}, "name": "web", "config": _CONTENT}},
    "BatchGetConfigurations": {_JSON: {"refs": [{"key": _KEY}]}},
    "UpdateConfiguration": {
        "application/merge-patch+json": {"replicas": 5, "tls": None},
        _JSON: {"replicas": 5, "tls": None},
        "application/json-patch+json": [{"op": "replace", "path": "/replicas", "value": 5}],
    },
    "ReplaceConfiguration": {_JSON: {"replicas": 5}},
    "UpdateConfigurationByBody": {
        _JSON: {"key": _KEY, "configuration": {"comments": "the front end", "config": {"replicas": 5}}}
    },
    "BatchWriteConfigurations": {
        _JSON: {
            "writes": [
                {"upsert": {"application": {"name": "shop"}, "name": "web", "config": _CONTENT}},
                {"deletion": {"key": {"application": "shop", "name": "old"}, "allow_missing": True}},
            ],
            "reason": "move",
        }
    },
    "RollbackConfiguration": {_JSON: {"version": "1", "reason": "the change was wrong"}},
    "ImportConfigurations": {
        "application/x-ndjson": '{"items":[{"application":{"name":"shop"},"name":"web","config":{"replicas":3}}]}\n'
    },
    "WatchConfigurationsByBody": {_JSON: {"selectors": [{"application": {"name": "shop"}}]}},
    "CreateSchema": {_JSON: {"name": "service", "document": _SCHEMA_DOCUMENT}},
    "CreateSchemaVersion": {_JSON: {"document": _SCHEMA_DOCUMENT}},
    "CheckSchemaVersion": {_JSON: {"document": _SCHEMA_DOCUMENT}},
    "CreateRoleBinding": {_JSON: {"principal": "user:alice", "role": "ROLE_EDITOR", "application": {"name": "shop"}}},
}

ANSWERS: dict[str, Any] = {
    "CreateApplication": _SHOP,
    "GetApplication": _SHOP,
    "ListApplications": {"applications": [_SHOP], "revision": "8", "epoch": _EPOCH},
    "CreateConfiguration": _WEB,
    "GetConfiguration": _WEB,
    "ListConfigurations": {"configurations": [_WEB], "revision": "8", "epoch": _EPOCH},
    "UpdateConfiguration": _CHANGED,
    "ReplaceConfiguration": _CHANGED,
    "DeleteConfiguration": {"revision": "10", "epoch": _EPOCH, "changed": True},
    "WatchConfigurations": (
        "retry: 1000\n\n"
        'id: MToxZjBjMmE0ZQ\nevent: synced\ndata: {"resume_token":"MToxZjBjMmE0ZQ","revision":"8","epoch":"1f0c2a4e",'
        '"synced":true}\n\n'
    ),
    "ExportConfigurations": (
        '{"items":[{"application":{"name":"shop"},"name":"web","config":{"replicas":3}}],"revision":"8",'
        '"epoch":"1f0c2a4e"}\n'
    ),
}
