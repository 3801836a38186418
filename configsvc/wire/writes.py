"""Many writes in one request, checked: each function adds the faults it finds, under the path of its write."""

from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationItem,
)
from configapi.v1.configuration_service_pb2 import ConfigurationWrite as ConfigurationWriteMessage
from configsvc.domain.errors import Violations
from configsvc.domain.models import KeyRef, WriteContext
from configsvc.domain.writes import BatchWrite, Deletion, Update, Upsert
from configsvc.wire import requests

MAX_WRITES = 1000


def check_number(request: BatchWriteConfigurationsRequest, violations: Violations) -> None:
    """Adds a fault if there are too many writes, or none."""
    if not 1 <= len(request.writes) <= MAX_WRITES:
        violations.add("writes", f"has {len(request.writes)} items: must have between 1 and {MAX_WRITES}")


def batch_write(
    message: ConfigurationWriteMessage, field: str, context: WriteContext, violations: Violations
) -> BatchWrite | None:
    """What one of many writes asks for."""
    match message.WhichOneof("write"):
        case "create":
            upsert = item(message.create, f"{field}.create", context, violations)
            return upsert.as_creation()
        case "upsert":
            return item(message.upsert, f"{field}.upsert", context, violations)
        case "update":
            return _update(message.update, f"{field}.update", context, violations)
        case "delete":
            return _deletion(message.delete, f"{field}.delete", context, violations)
        case None:
            violations.add(field, "must set one of create, update, upsert and delete")
            return None


def item(message: ConfigurationItem, field: str, context: WriteContext, violations: Violations) -> Upsert:
    """A configuration that comes from outside."""
    application = requests.new_name(message.application, f"{field}.application", violations)
    name = requests.new_name(message.name, f"{field}.name", violations)
    return Upsert(
        key=KeyRef(application=application, name=name),
        comments=requests.comments(message.comments, f"{field}.comments", violations),
        config=requests.required_config(message, field, violations),
        schema=requests.new_pin(message, field, violations),
        context=context,
    )


def _update(message: ConfigurationChangeItem, field: str, context: WriteContext, violations: Violations) -> Update:
    version = message.expected_version
    return Update(
        ref=requests.configuration_ref(message, field, violations),
        values=requests.configuration_update(message, field, violations),
        expected_version=requests.non_negative(version, f"{field}.expected_version", violations),
        context=context,
    )


def _deletion(
    message: ConfigurationDeletionItem, field: str, context: WriteContext, violations: Violations
) -> Deletion:
    version = message.expected_version
    return Deletion(
        ref=requests.configuration_ref(message, field, violations),
        expected_version=requests.non_negative(version, f"{field}.expected_version", violations),
        context=context,
    )
