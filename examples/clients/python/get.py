"""Read one configuration with the bare stubs: python get.py ADDRESS APPLICATION NAME."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import GetConfigurationRequest
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON

# The library repeats reads. Writes are not in the file: after UNAVAILABLE, one may have been done.
POLICY = Path(__file__).parents[3] / "deploy" / "service-config.json"
OPTIONS = (
    ("grpc.service_config", POLICY.read_text(encoding="utf-8")),
    ("grpc.keepalive_time_ms", 20_000),  # the server refuses pings closer than 10 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
)


def connect(address: str) -> grpc.Channel:
    authorities, token = os.environ.get("CONFIGSVC_CA_FILE"), os.environ.get("CONFIGSVC_TOKEN_FILE")
    if not authorities:
        return grpc.insecure_channel(address, OPTIONS)
    credentials = grpc.ssl_channel_credentials(Path(authorities).read_bytes())
    if token:
        credentials = grpc.composite_channel_credentials(credentials, grpc.metadata_call_credentials(TokenFile(token)))
    return grpc.secure_channel(address, credentials, OPTIONS)


class TokenFile(grpc.AuthMetadataPlugin):
    """A token in a file, which is read for each call, as tokens expire."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def __call__(self, _: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        callback((("authorization", f"Bearer {self._path.read_text(encoding='ascii').strip()}"),), None)


def details_of(error: Any) -> dict[str, Any]:
    """Return what the error says. Without a reason, it comes from a library or a proxy: its code says nothing."""
    found: dict[str, Any] = {
        "code": error.code().name,
        "text": error.details(),
        "reason": "",
        "retrySeconds": 0.0,
        "faults": {},
    }
    info, retry, faults = ErrorInfo(), RetryInfo(), BadRequest()
    for detail in Status.FromString(dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")).details:
        if detail.Unpack(info) and info.domain == "configsvc":
            found["reason"] = info.reason
        elif detail.Unpack(retry):
            found["retrySeconds"] = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(faults):
            found["faults"] = {fault.field: fault.description for fault in faults.field_violations}
    return found


def main(address: str, application: str, name: str) -> int:
    request = GetConfigurationRequest(
        key=ConfigurationKey(application=application, name=name), format=CONTENT_FORMAT_JSON
    )
    with connect(address) as channel:
        try:
            found = ConfigurationServiceStub(channel).GetConfiguration(request, timeout=30).configuration
        except grpc.RpcError as error:
            print(json.dumps(details_of(error)))
            return 1
    print(json.dumps({"name": name, "version": found.version, "content": json.loads(found.config_json)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
