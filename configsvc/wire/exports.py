"""Exports: the request, and responses of bounded size. The parser raises InvalidRequestError with every fault."""

from collections.abc import Iterable
from functools import partial

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    ConfigurationItem,
    ExportConfigurationsRequest,
    ExportConfigurationsResponse,
)
from configsvc.domain.errors import Violations
from configsvc.domain.models import Configuration
from configsvc.domain.requests import ConfigurationExport
from configsvc.domain.scope import Scope
from configsvc.wire.json_fields import wants_json
from configsvc.wire.moments import epoch, moment
from configsvc.wire.resources import set_content
from configsvc.wire.responses import grouped
from configsvc.wire.selectors import configuration_filter


def export(request: ExportConfigurationsRequest, scope: Scope) -> ConfigurationExport:
    with Violations() as violations:
        return ConfigurationExport(
            chosen=configuration_filter(request.selector, scope, violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
            as_text=wants_json(request.format, violations),
        )


def encoded_exports(
    configurations: Iterable[Configuration], revision: int, epoch: str, *, as_text: bool
) -> list[bytes]:
    """Return the responses that carry the configurations; one response if there are none.

    Each has at most MESSAGE_LIMIT_BYTES, unless a single configuration is larger. Raises RecordUnreadableError.
    """
    groups = list(grouped(map(partial(_item, as_text=as_text), configurations))) or [[]]
    return [
        ExportConfigurationsResponse(items=group, revision=revision, epoch=epoch).SerializeToString()
        for group in groups
    ]


def _item(configuration: Configuration, *, as_text: bool) -> ConfigurationItem:
    item = ConfigurationItem(
        application=ApplicationRef(name=configuration.application),
        name=configuration.name,
        comments=configuration.comments,
    )
    assert configuration.config is not None
    set_content(item, configuration.config, configuration, as_text=as_text)
    if configuration.schema is not None:
        item.schema.schema = configuration.schema.schema
        item.schema.version = configuration.schema.version
    return item
