"""Envoy's transcoder from JSON to gRPC, in front of the gRPC port: it knows the contract by its descriptors alone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from google.api.annotations_pb2 import http
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.rpc.real_proxies import required, running_proxy

DESCRIPTORS = Path(__file__).parents[2] / "generated" / "configapi" / "descriptors.binpb"
SERVICES = (
    "ApplicationService",
    "ConfigurationService",
    "OperationService",
    "SchemaService",
    "AuditService",
    "AccessService",
    "ServerService",
    "SourceService",
)
_KIND = "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
_FILTER = """http_filters:
                  - name: envoy.filters.http.grpc_json_transcoder
                    typed_config:
                      "@type": {kind}
                      proto_descriptor: {descriptors}
                      services: [{services}]
                      print_options: {{ preserve_proto_field_names: true }}
                      convert_grpc_status: true
                      url_unescape_spec: ALL_CHARACTERS
                      query_param_unescape_plus: true
                      request_validation_options:
                        reject_unknown_method: true
                        reject_unknown_query_parameters: true
                      max_request_body_size: 4194304
                      max_response_body_size: 8388608
"""


def _descriptors() -> bytes:
    """Return the committed descriptors without `response_body`, with which Envoy does not start: it answers with the
    whole response.
    """
    found = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for method in (method for file in found.file for service in file.service for method in service.method):
        # The types of extensions are known to no type checker.
        options: Any = method.options
        rule = options.Extensions[http]
        for binding in (rule, *rule.additional_bindings):
            binding.response_body = ""
    return found.SerializeToString()


@asynccontextmanager
async def transcoder(folder: Path, upstream: str) -> AsyncGenerator[str]:
    """Run the transcoder in front of an address. Yield its URL. Skips the test if Envoy is not installed."""
    services = ", ".join(f"configapi.v1.{service}" for service in SERVICES)
    descriptors = folder / "descriptors.binpb"
    descriptors.write_bytes(_descriptors())
    filters = _FILTER.format(kind=_KIND, descriptors=descriptors, services=services)
    async with running_proxy(required("envoy"), folder, upstream, None, (r"http_filters:\n", filters)) as proxy:
        yield f"http://{proxy.address}"
