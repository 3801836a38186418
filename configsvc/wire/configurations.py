"""ConfigurationService: requests and responses; batches, exports, imports and watches have modules of their own.

Parsers raise InvalidRequestError with every fault.
"""

from dataclasses import dataclass
from functools import lru_cache

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_UNSPECIFIED
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    DiffConfigurationVersionsRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    ListConfigurationVersionsRequest,
    ListConfigurationVersionsResponse,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
)
from configsvc.domain.errors import ResponseTooLargeError, Violations
from configsvc.domain.models import (
    Configuration,
    ConfigurationFilter,
    ConfigurationRef,
    ConfigurationVersion,
    Page,
    PastMoment,
    VersionsPage,
)
from configsvc.domain.names import check_text
from configsvc.domain.requests import Author, BatchLookup, ConfigurationListing, VersionListing
from configsvc.domain.scope import Scope
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.domain.writes import Creation, Deletion, Rollback, Update
from configsvc.wire import fields
from configsvc.wire.content import content_from
from configsvc.wire.history import moment, version_message
from configsvc.wire.paging import fitting_list, fitting_page, names_key, number_key, page_request
from configsvc.wire.parsing import parsed as parsed_message
from configsvc.wire.resources import configuration_message, configuration_ref_message
from configsvc.wire.responses import fitting
from configsvc.wire.writes import configuration_update, new_pin, required_config

MAX_BATCH = 1000
MAX_JSON_PATH_LENGTH = 1024
# Clients repeat their lookups, and to parse and check one takes as long as to answer it.
CACHED_LOOKUPS = 4096
CACHED_LOOKUP_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A GetConfigurationRequest. `at` None: now."""

    ref: ConfigurationRef
    min_revision: int
    at: PastMoment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPair:
    """A DiffConfigurationVersionsRequest. Version 0: the newest, and the one before it."""

    ref: ConfigurationRef
    from_version: int
    to_version: int


def creation(request: CreateConfigurationRequest, author: Author) -> Creation:
    with Violations() as violations:
        return Creation(
            application=fields.application_ref(request.application, "application", violations),
            name=fields.configuration_name(request.name, "name", violations),
            comments=fields.comments(request.comments, "comments", violations),
            config=required_config(request, "", violations),
            schema=new_pin(request, "", violations),
            context=fields.write_context(request, author, violations),
        )


def lookup(request: GetConfigurationRequest) -> Lookup:
    with Violations() as violations:
        return Lookup(
            ref=fields.configuration_ref(request, "", violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            at=moment(request, violations),
        )


def lookup_from(data: bytes) -> Lookup:
    """Parse the encoded request, or recall it. Raises InvalidRequestError or UnsupportedFieldError."""
    return _cached_lookup(data) if len(data) <= CACHED_LOOKUP_BYTES else _lookup_from(data)


def _lookup_from(data: bytes) -> Lookup:
    return lookup(parsed_message(GetConfigurationRequest, data))


_cached_lookup = lru_cache(maxsize=CACHED_LOOKUPS)(_lookup_from)


def batch_lookup(request: BatchGetConfigurationsRequest, scope: Scope) -> BatchLookup:
    with Violations() as violations:
        if not 1 <= len(request.refs) <= MAX_BATCH:
            violations.add("refs", f"has {len(request.refs)} items: must have between 1 and {MAX_BATCH}")
        refs = enumerate(request.refs[:MAX_BATCH])
        return BatchLookup(
            refs=[fields.configuration_ref(ref, f"refs[{index}]", violations) for index, ref in refs],
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            with_config=fields.wants_config(request.view, violations),
            scope=scope,
        )


def listing(request: ListConfigurationsRequest, scope: Scope) -> ConfigurationListing:
    with Violations() as violations:
        return ConfigurationListing(
            chosen=_filter(request, scope, violations),
            with_config=fields.wants_config(request.view, violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            as_of_revision=fields.non_negative(request.as_of_revision, "as_of_revision", violations),
            page=page_request(request, names_key, violations),
        )


def _filter(request: ListConfigurationsRequest, scope: Scope, violations: Violations) -> ConfigurationFilter:
    check_text(request.json_path, "json_path", MAX_JSON_PATH_LENGTH, violations)
    has_contains, is_pinned = request.HasField("contains"), request.HasField("schema")
    return ConfigurationFilter(
        scope=scope,
        application=fields.application_if_any(request, violations),
        name_prefix=fields.name_prefix(request.name_prefix, violations),
        contains=content_from(request.contains, "contains", violations) if has_contains else None,
        json_path=request.json_path or None,
        schema=fields.schema_version_ref(request.schema, "schema", violations) if is_pinned else None,
    )


def update(request: UpdateConfigurationRequest, author: Author) -> Update:
    with Violations() as violations:
        return Update(
            ref=fields.configuration_ref(request, "", violations),
            values=configuration_update(request, "", violations),
            expected_version=fields.non_negative(request.expected_version, "expected_version", violations),
            context=fields.write_context(request, author, violations),
        )


def deletion(request: DeleteConfigurationRequest, author: Author) -> Deletion:
    with Violations() as violations:
        return Deletion(
            ref=fields.configuration_ref(request, "", violations),
            expected_version=fields.non_negative(request.expected_version, "expected_version", violations),
            context=fields.write_context(request, author, violations),
        )


def version_listing(request: ListConfigurationVersionsRequest, scope: Scope) -> VersionListing:
    with Violations() as violations:
        return VersionListing(
            ref=fields.configuration_ref(request, "", violations),
            with_config=request.view != CONFIGURATION_VIEW_UNSPECIFIED
            and fields.wants_config(request.view, violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            scope=scope,
            page=page_request(request, number_key, violations),
        )


def comparison(request: DiffConfigurationVersionsRequest) -> VersionPair:
    with Violations() as violations:
        return VersionPair(
            ref=fields.configuration_ref(request, "", violations),
            from_version=fields.non_negative(request.from_version, "from_version", violations),
            to_version=fields.non_negative(request.to_version, "to_version", violations),
        )


def rollback(request: RollbackConfigurationRequest, author: Author) -> Rollback:
    with Violations() as violations:
        return Rollback(
            ref=fields.configuration_ref(request, "", violations),
            version=fields.non_negative(request.version, "version", violations),
            expected_version=fields.non_negative(request.expected_version, "expected_version", violations),
            context=fields.write_context(request, author, violations),
        )


def batch_response(
    configurations: tuple[Configuration, ...], not_found: tuple[ConfigurationRef, ...], revision: int
) -> BatchGetConfigurationsResponse:
    """Return the response that carries them all. Raises ResponseTooLargeError."""
    fitted = fitting(map(configuration_message, configurations))
    if len(fitted) < len(configurations):
        raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)
    return BatchGetConfigurationsResponse(
        configurations=fitted, not_found=map(configuration_ref_message, not_found), revision=revision
    )


def list_response(
    request: ListConfigurationsRequest, page: Page[Configuration], application_id: str | None
) -> ListConfigurationsResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(
        request,
        page,
        configuration_message,
        lambda configuration: (configuration.application, configuration.name),
        resource_id=application_id,
    )
    return ListConfigurationsResponse(
        configurations=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision
    )


def versions_response(
    request: ListConfigurationVersionsRequest, page: VersionsPage, configuration_id: str
) -> ListConfigurationVersionsResponse:
    """Return the response that carries as much of the page as fits."""

    def key(version: ConfigurationVersion) -> tuple[int]:
        return (version.configuration.version,)

    last_key = None if page.last is None else (page.last,)
    fitted = fitting_page(request, page.versions, version_message, key, last_key=last_key, resource_id=configuration_id)
    return ListConfigurationVersionsResponse(
        versions=fitted.messages, next_page_token=fitted.next_page_token, compacted=page.compacted
    )
