"""ConfigurationService: single writes and their responses. Parsers raise InvalidRequestError with every fault."""

from typing import TypeAlias, TypeVar

from configapi.v1.configuration_service_pb2 import (
    CreateConfigurationRequest,
    CreateConfigurationResponse,
    DeleteConfigurationRequest,
    RollbackConfigurationRequest,
    RollbackConfigurationResponse,
    UndeleteConfigurationRequest,
    UndeleteConfigurationResponse,
    UpdateConfigurationRequest,
    UpdateConfigurationResponse,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configsvc.domain.errors import Violations
from configsvc.domain.models import Configuration, Done
from configsvc.domain.requests import Author
from configsvc.domain.writes import Creation, Deletion, Rollback, Undeletion, Update
from configsvc.wire import fields
from configsvc.wire.expectations import expectation
from configsvc.wire.json_fields import wants_json
from configsvc.wire.resources import fill_configuration
from configsvc.wire.writes import change, new_pin, required_config

AnyWriteRequest: TypeAlias = (
    CreateConfigurationRequest
    | UpdateConfigurationRequest
    | RollbackConfigurationRequest
    | UndeleteConfigurationRequest
)
AnyWriteResponse: TypeAlias = (
    CreateConfigurationResponse
    | UpdateConfigurationResponse
    | RollbackConfigurationResponse
    | UndeleteConfigurationResponse
)
AnyResponse = TypeVar("AnyResponse", bound=AnyWriteResponse)


def creation(request: CreateConfigurationRequest, author: Author) -> Creation:
    with Violations() as violations:
        wants_json(request.format, violations)
        return Creation(
            application=fields.application_ref(request.application, "application", violations),
            name=fields.configuration_name(request.name, "name", violations),
            comments=fields.comments(request.comments, "comments", violations),
            config=required_config(request, "", violations),
            schema=new_pin(request, "", violations),
            context=fields.write_context(request, author, violations),
        )


def update(request: UpdateConfigurationRequest, author: Author) -> Update:
    with Violations() as violations:
        wants_json(request.format, violations)
        return change(request, "", fields.write_context(request, author, violations), violations)


def deletion(request: DeleteConfigurationRequest, author: Author) -> Deletion:
    with Violations() as violations:
        return Deletion(
            ref=fields.configuration_ref(request, "", violations),
            expected=expectation(request, request.expected_etag, violations),
            allow_missing=request.allow_missing,
            context=fields.write_context(request, author, violations),
        )


def rollback(request: RollbackConfigurationRequest, author: Author) -> Rollback:
    with Violations() as violations:
        wants_json(request.format, violations)
        if request.version < 1:
            violations.add("version", f"is {request.version}: must be a version to restore, from 1")
        return Rollback(
            ref=fields.configuration_ref(request, "", violations),
            version=request.version,
            expected=expectation(request, request.expected_etag, violations),
            context=fields.write_context(request, author, violations),
        )


def undeletion(request: UndeleteConfigurationRequest, author: Author) -> Undeletion:
    with Violations() as violations:
        wants_json(request.format, violations)
        return Undeletion(
            ref=fields.configuration_ref(request, "", violations),
            context=fields.write_context(request, author, violations),
        )


def written(
    response: type[AnyResponse], request: AnyWriteRequest, done: Done[Configuration], epoch: str
) -> AnyResponse:
    """Return the response of a type to a write, with the content in the form that the request wants."""
    message = response(revision=done.result.revision, epoch=epoch, changed=done.changed)
    fill_configuration(message.configuration, done.result, as_text=request.format == CONTENT_FORMAT_JSON)
    return message
