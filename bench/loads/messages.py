"""What is sent: requests of the service, made by its stubs, and of etcd, by hand, since it has none here."""

import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, CONFIGURATION_VIEW_FULL, ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationItem,
    ConfigurationSelector,
    ConfigurationWrite,
    CreateConfigurationRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationVersionsRequest,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)

APPLICATION = "bench"
WATCHED = "watched"
# Names and contents of writes hold these, and each call puts numbers of as many digits in their place.
ROW = "<<<<<<<<"
TURN = ">>>>>>>>"

# So many rows are written in turn.
ROWS = 1000
# So many are written by one call.
BATCH = 1000

SERVICE = "/configapi.v1.ConfigurationService/"
CONTENT_BYTES = 650


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A method, and a request for it."""

    path: str
    request: bytes


def content(turn: str = "00000000") -> dict[str, Any]:
    """A configuration of CONTENT_BYTES as compact JSON, such as services have."""
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
    """The same as compact JSON."""
    return json.dumps(content(turn), separators=(",", ":"))


def row_name(row: int) -> str:
    """The name of the configuration of a row."""
    return f"row-{row:08d}"


def struct(value: dict[str, Any]) -> Struct:
    """A Struct that holds the value."""
    return ParseDict(value, Struct())


def get(name: str) -> Call:
    """GetConfiguration by name."""
    return _get(GetConfigurationRequest(key=_key(name)))


def get_version(name: str, version: int) -> Call:
    """GetConfiguration as a version left it."""
    return _get(GetConfigurationRequest(key=_key(name), version=version))


def get_as_of(name: str, revision: int) -> Call:
    """GetConfiguration as it was at a revision."""
    return _get(GetConfigurationRequest(key=_key(name), as_of_revision=revision))


def _get(request: GetConfigurationRequest) -> Call:
    return Call(path=SERVICE + "GetConfiguration", request=request.SerializeToString())


def _key(name: str) -> ConfigurationKey:
    return ConfigurationKey(application=APPLICATION, name=name)


def versions(name: str, page_size: int, *, full: bool = False, page_token: str = "") -> Call:
    """ListConfigurationVersions by name."""
    request = ListConfigurationVersionsRequest(
        key=_key(name),
        view=CONFIGURATION_VIEW_FULL if full else CONFIGURATION_VIEW_BASIC,
        page_size=page_size,
        page_token=page_token,
    )
    return Call(path=SERVICE + "ListConfigurationVersions", request=request.SerializeToString())


def list_of(application: str) -> Call:
    """Lists the configurations of an application, with their contents."""
    request = ListConfigurationsRequest(application=ApplicationRef(name=application), page_size=1000)
    return Call(path=f"{SERVICE}ListConfigurations", request=request.SerializeToString())


def update() -> Call:
    """UpdateConfiguration of a small part of the configuration of a row."""
    request = UpdateConfigurationRequest(
        key=ConfigurationKey(application=APPLICATION, name=f"row-{ROW}"), merge_patch=struct({"turn": TURN})
    )
    return Call(path=SERVICE + "UpdateConfiguration", request=request.SerializeToString())


def create() -> Call:
    """CreateConfiguration under a name that is new at each turn."""
    request = CreateConfigurationRequest(
        application=ApplicationRef(name=APPLICATION), name=f"new-{TURN}", config=struct(content())
    )
    return Call(path=SERVICE + "CreateConfiguration", request=request.SerializeToString())


def batch_write() -> Call:
    """BatchWriteConfigurations of configurations under names that are new at each turn."""
    config = struct(content())
    request = BatchWriteConfigurationsRequest(
        writes=[
            ConfigurationWrite(
                create=ConfigurationItem(application=APPLICATION, name=f"batch-{TURN}-{place}", config=config)
            )
            for place in range(BATCH)
        ]
    )
    return Call(path=SERVICE + "BatchWriteConfigurations", request=request.SerializeToString())


def watch() -> Call:
    """WatchConfigurations of one configuration. Bookmarks come so rarely that no figure has them in it."""
    selector = ConfigurationSelector(application=ApplicationRef(name=APPLICATION), keys=[WATCHED])
    request = WatchConfigurationsRequest(selectors=[selector], progress_interval=Duration(seconds=3600))
    return Call(path=SERVICE + "WatchConfigurations", request=request.SerializeToString())


def numbered(request: bytes, row: int, turn: int) -> bytes:
    """A request with numbers in their places."""
    return request.replace(ROW.encode(), b"%08d" % row).replace(TURN.encode(), b"%08d" % turn)


def etcd_value() -> bytes:
    """What etcd keeps in place of a configuration."""
    return content_text(TURN).encode()


def etcd_range(key: str) -> Call:
    """RangeRequest { key = 1 }."""
    return Call(path="/etcdserverpb.KV/Range", request=_field(1, key.encode()))


def etcd_put(key: str) -> Call:
    """PutRequest { key = 1, value = 2 }."""
    return Call(path="/etcdserverpb.KV/Put", request=_field(1, key.encode()) + _field(2, etcd_value()))


def etcd_watch(key: str) -> Call:
    """WatchRequest { create_request = 1: WatchCreateRequest { key = 1 } }."""
    return Call(path="/etcdserverpb.Watch/Watch", request=_field(1, _field(1, key.encode())))


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)
