"""Fields that this server does not know are refused, wherever they are but in contents."""

import pickle
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationItem,
    ConfigurationWrite,
    CreateConfigurationRequest,
    GetConfigurationRequest,
    ImportConfigurationsRequest,
    ListConfigurationsRequest,
    WatchConfigurationsRequest,
    WatchInstance,
)
from configsvc.domain.errors import UnsupportedFieldError, Violation
from configsvc.wire.parsing import parsed
from configsvc.wire.unknown_fields import refuse_unknown_fields
from tests.api.calls import create_application, creation, failing, fields_at_fault
from tests.service import Service

# Field 4000, a varint of 1.
UNKNOWN = b"\x80\xfa\x01\x01"


def faults(request: Message) -> list[str]:
    with pytest.raises(UnsupportedFieldError) as caught:
        refuse_unknown_fields(request)
    return [violation.field for violation in caught.value.violations]


def test_a_request_of_known_fields_passes() -> None:
    request = creation("web", {"a": {"b": [1, None]}})
    assert parsed(CreateConfigurationRequest, request.SerializeToString()) == request


def test_an_unknown_field_is_refused_with_its_number() -> None:
    with pytest.raises(UnsupportedFieldError, match="field number 4000 of ListConfigurationsRequest"):
        parsed(ListConfigurationsRequest, ListConfigurationsRequest(page_size=3).SerializeToString() + UNKNOWN)


def test_unknown_fields_of_nested_messages_are_refused_with_their_paths() -> None:
    items = [ConfigurationItem(application=ApplicationRef(name="shop"), name=name) for name in ("web", "api")]
    items[1].MergeFromString(UNKNOWN)
    request = BatchWriteConfigurationsRequest(writes=[ConfigurationWrite(create=item) for item in items])
    request.MergeFromString(UNKNOWN)
    assert faults(request) == ["4000", "writes[1].create.4000"]


def test_an_unknown_field_beside_a_map_is_refused() -> None:
    request = WatchConfigurationsRequest(instance=WatchInstance(labels={"zone": "eu-1"}))
    refuse_unknown_fields(request)
    request.instance.MergeFromString(UNKNOWN)
    assert faults(request) == ["instance.4000"]


def test_contents_are_not_searched_for_unknown_fields() -> None:
    request = creation("web", {"a": 1})
    request.config.MergeFromString(UNKNOWN)
    refuse_unknown_fields(request)


def test_the_error_crosses_to_another_process() -> None:
    error = UnsupportedFieldError((Violation(field="4000", description="is not known"),))
    assert pickle.loads(pickle.dumps(error)).violations == error.violations


async def test_every_kind_of_call_refuses_unknown_fields(service: Service) -> None:
    await create_application(service)
    get = GetConfigurationRequest(key=ConfigurationKey(application="shop", name="web"))
    get.key.MergeFromString(UNKNOWN)
    watch = WatchConfigurationsRequest()
    watch.MergeFromString(UNKNOWN)
    upload = ImportConfigurationsRequest(items=[ConfigurationItem(application=ApplicationRef(name="shop"), name="web")])
    upload.items[0].MergeFromString(UNKNOWN)

    async def uploads() -> AsyncIterator[ImportConfigurationsRequest]:
        yield upload

    with failing(StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FIELD") as unary:
        await service.configurations.GetConfiguration(get)
    with failing(StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FIELD") as stream:
        await anext(aiter(service.configurations.WatchConfigurations(watch)))
    with failing(StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FIELD") as imported:
        await service.configurations.ImportConfigurations(uploads())
    errors = (unary.value, stream.value, imported.value)
    assert [fields_at_fault(error) for error in errors] == [["key.4000"], ["4000"], ["items[0].4000"]]
