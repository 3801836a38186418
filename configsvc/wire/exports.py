"""Exports: the request, and responses of bounded size. The parser raises InvalidRequestError with every fault."""

from collections.abc import Iterable

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    ConfigurationItem,
    ExportConfigurationsRequest,
    ExportConfigurationsResponse,
)
from configapi.v1.schema_pb2 import SchemaVersionRef as SchemaVersionRefMessage
from configsvc.domain.errors import Violations
from configsvc.domain.models import Configuration, ConfigurationFilter
from configsvc.domain.requests import ConfigurationExport
from configsvc.domain.scope import Scope
from configsvc.wire.content import struct_of
from configsvc.wire.fields import application_if_any, name_prefix, non_negative, schema_version_ref
from configsvc.wire.responses import grouped


def export(request: ExportConfigurationsRequest, scope: Scope) -> ConfigurationExport:
    with Violations() as violations:
        return ConfigurationExport(
            chosen=_filter(request, scope, violations),
            min_revision=non_negative(request.min_revision, "min_revision", violations),
            as_of_revision=non_negative(request.as_of_revision, "as_of_revision", violations),
        )


def _filter(request: ExportConfigurationsRequest, scope: Scope, violations: Violations) -> ConfigurationFilter:
    return ConfigurationFilter(
        scope=scope,
        application=application_if_any(request, violations),
        name_prefix=name_prefix(request.name_prefix, violations),
        contains=None,
        json_path=None,
        schema=schema_version_ref(request.schema, "schema", violations) if request.HasField("schema") else None,
    )


def encoded_exports(revision: int, configurations: Iterable[Configuration]) -> list[bytes]:
    """Return the responses that carry the configurations; one response if there are none.

    Each has at most MESSAGE_LIMIT_BYTES, unless a single configuration is larger.
    """
    groups = list(grouped(map(_item, configurations))) or [[]]
    return [ExportConfigurationsResponse(items=group, revision=revision).SerializeToString() for group in groups]


def _item(configuration: Configuration) -> ConfigurationItem:
    assert configuration.config is not None
    pin = configuration.schema
    return ConfigurationItem(
        application=ApplicationRef(name=configuration.application),
        name=configuration.name,
        comments=configuration.comments,
        config=struct_of(configuration.config),
        schema=SchemaVersionRefMessage(schema=pin.schema, version=pin.version) if pin else None,
    )
