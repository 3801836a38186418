"""Exports: requests, and messages of bounded size."""

from collections.abc import Iterable

from configapi.v1.configuration_service_pb2 import (
    ConfigurationItem,
    ExportConfigurationsRequest,
    ExportConfigurationsResponse,
)
from configapi.v1.schema_pb2 import SchemaVersionRef as SchemaVersionRefMessage
from configsvc.domain.errors import Violations
from configsvc.domain.models import Configuration, ConfigurationFilter
from configsvc.domain.scope import Scope
from configsvc.wire.content import struct_of
from configsvc.wire.requests import application_ref, name_prefix, schema_version_ref
from configsvc.wire.responses import grouped


def export_filter(request: ExportConfigurationsRequest, scope: Scope, violations: Violations) -> ConfigurationFilter:
    """Which configurations to export."""
    has_application = request.HasField("application")
    return ConfigurationFilter(
        scope=scope,
        application=application_ref(request.application, "application", violations) if has_application else None,
        name_prefix=name_prefix(request.name_prefix, "name_prefix", violations),
        contains=None,
        json_path=None,
        schema=schema_version_ref(request.schema, "schema", violations) if request.HasField("schema") else None,
    )


def encoded_exports(revision: int, configurations: Iterable[Configuration]) -> list[bytes]:
    """The responses that carry the configurations, each of at most 1 MiB unless a single one is larger; one response
    if there are none.
    """
    groups = list(grouped(map(_item, configurations))) or [[]]
    return [ExportConfigurationsResponse(items=group, revision=revision).SerializeToString() for group in groups]


def _item(configuration: Configuration) -> ConfigurationItem:
    assert configuration.config is not None
    pin = configuration.schema
    return ConfigurationItem(
        application=configuration.application,
        name=configuration.name,
        comments=configuration.comments,
        config=struct_of(configuration.config),
        schema=SchemaVersionRefMessage(schema=pin.schema, version=pin.version) if pin else None,
    )
