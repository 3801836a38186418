"""Requests for the service, made with its stubs, and for etcd, encoded by hand."""

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, CONFIGURATION_VIEW_FULL, ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationItem,
    ConfigurationWrite,
    CreateConfigurationRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationVersionsRequest,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector

APPLICATION = "bench"
WATCHED = "watched"
# Placeholders in names and contents of writes. Each call replaces them by numbers with as many digits.
ROW = "<<<<<<<<"
TURN = ">>>>>>>>"

# Rows to write in turn.
ROWS = 1000
# Configurations to write with one call.
BATCH = 1000

CONTENT_BYTES = 650


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A method and a request for it."""

    path: str
    request: bytes


def content(turn: str = "00000000") -> dict[str, Any]:
    """Return a typical configuration, CONTENT_BYTES long as compact JSON."""
    value: dict[str, Any] = {
        "turn": turn,
        "database": {"host": "db-1.internal.example", "port": 5432, "pool": {"min": 4, "max": 32}, "tls": True},
        "timeouts": {"connect_ms": 250, "read_ms": 1500, "retries": 3, "backoff": [0.1, 0.5, 2.5]},
        "features": {"checkout_v2": True, "dark_mode": False, "beta": ["search", "wishlist"], "share": 0.25},
        "limits": {"requests_per_minute": 600, "body_kib": 512, "regions": ["eu-1", "eu-2", "us-1"]},
        "note": "",
    }
    value["note"] = "x" * (CONTENT_BYTES - len(json.dumps(value, separators=(",", ":"))))
    return value


def content_text(turn: str = "00000000") -> str:
    """Return the same configuration as compact JSON."""
    return json.dumps(content(turn), separators=(",", ":"))


def row_name(row: int) -> str:
    """Return the name of the configuration of a row."""
    return f"row-{row:08d}"


def struct(value: dict[str, Any]) -> Struct:
    """Return the value as a Struct."""
    return ParseDict(value, Struct())


def get(name: str) -> Call:
    """Return GetConfiguration by name."""
    return _call("GetConfiguration", GetConfigurationRequest(key=_key(name)))


def get_version(name: str, version: int) -> Call:
    """Return GetConfiguration of a version."""
    return _call("GetConfiguration", GetConfigurationRequest(key=_key(name), version=version))


def get_as_of(name: str, revision: int) -> Call:
    """Return GetConfiguration as of a revision."""
    return _call("GetConfiguration", GetConfigurationRequest(key=_key(name), as_of_revision=revision))


def _call(method: str, request: Message) -> Call:
    return Call(path=f"/configapi.v1.ConfigurationService/{method}", request=request.SerializeToString())


def _key(name: str) -> ConfigurationKey:
    return ConfigurationKey(application=APPLICATION, name=name)


def versions(name: str, page_size: int, *, full: bool = False, page_token: str = "") -> Call:
    """Return ListConfigurationVersions by name."""
    request = ListConfigurationVersionsRequest(
        key=_key(name),
        view=CONFIGURATION_VIEW_FULL if full else CONFIGURATION_VIEW_BASIC,
        page_size=page_size,
        page_token=page_token,
    )
    return _call("ListConfigurationVersions", request)


def list_of(application: str) -> Call:
    """Return ListConfigurations of an application, with contents."""
    selector = ConfigurationSelector(application=ApplicationRef(name=application))
    request = ListConfigurationsRequest(selector=selector, page_size=1000)
    return _call("ListConfigurations", request)


def update() -> Call:
    """Return UpdateConfiguration of a few bytes of a row."""
    request = UpdateConfigurationRequest(
        key=ConfigurationKey(application=APPLICATION, name=f"row-{ROW}"), merge_patch=struct({"turn": TURN})
    )
    return _call("UpdateConfiguration", request)


def create() -> Call:
    """Return CreateConfiguration with a new name at each turn."""
    request = CreateConfigurationRequest(
        application=ApplicationRef(name=APPLICATION), name=f"new-{TURN}", config=struct(content())
    )
    return _call("CreateConfiguration", request)


def batch_write() -> Call:
    """Return BatchWriteConfigurations of BATCH configurations with new names at each turn."""
    config = struct(content())
    request = BatchWriteConfigurationsRequest(
        writes=[
            ConfigurationWrite(
                create=ConfigurationItem(
                    application=ApplicationRef(name=APPLICATION), name=f"batch-{TURN}-{index}", config=config
                )
            )
            for index in range(BATCH)
        ]
    )
    return _call("BatchWriteConfigurations", request)


def watch() -> Call:
    """Return WatchConfigurations of one configuration, with bookmarks too rare to be in a figure."""
    selector = ConfigurationSelector(application=ApplicationRef(name=APPLICATION), names=[WATCHED])
    request = WatchConfigurationsRequest(selectors=[selector], progress_interval=Duration(seconds=3600))
    return _call("WatchConfigurations", request)


def numbered(request: bytes, row: int, turn: int) -> bytes:
    """Return a request with numbers instead of its placeholders."""
    return request.replace(ROW.encode(), b"%08d" % row).replace(TURN.encode(), b"%08d" % turn)


def etcd_range(key: str) -> Call:
    """Return RangeRequest { key = 1 }."""
    return Call(path="/etcdserverpb.KV/Range", request=_field(1, key.encode()))


def etcd_put(key: str) -> Call:
    """Return PutRequest { key = 1, value = 2 }."""
    return Call(path="/etcdserverpb.KV/Put", request=_field(1, key.encode()) + _field(2, content_text(TURN).encode()))


def etcd_watch(key: str) -> Call:
    """Return WatchRequest { create_request = 1: WatchCreateRequest { key = 1 } }."""
    return Call(path="/etcdserverpb.Watch/Watch", request=_field(1, _field(1, key.encode())))


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)
