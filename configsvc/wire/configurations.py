"""ConfigurationService: reading requests and responses; writes, exports, imports and watches have modules of their own.

Parsers raise InvalidRequestError with every fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Generic, TypeVar

from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    ConfigurationResult,
    DiffConfigurationVersionsRequest,
    GetConfigurationRequest,
    GetConfigurationResponse,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    ListConfigurationVersionsRequest,
    ListConfigurationVersionsResponse,
)
from configsvc.domain.errors import ResponseTooLargeError, Violations
from configsvc.domain.models import (
    AtVersion,
    Configuration,
    ConfigurationRef,
    ConfigurationVersion,
    Now,
    Page,
    PastMoment,
    VersionsPage,
    key_of,
    key_with_deleted,
)
from configsvc.domain.requests import BatchLookup, ConfigurationListing, VersionListing
from configsvc.domain.scope import Scope
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.domain.stored_json import Content
from configsvc.wire import fields
from configsvc.wire.history import version_message
from configsvc.wire.json_fields import wants_json
from configsvc.wire.moments import epoch, moment
from configsvc.wire.paging import configuration_key, fitting_list, fitting_page, number_key, page_request
from configsvc.wire.parsing import parsed as parsed_message
from configsvc.wire.resources import configuration_message, fill_configuration, set_content
from configsvc.wire.responses import fitting
from configsvc.wire.selectors import configuration_filter

MAX_BATCH = 1000
# Clients repeat their lookups, and to parse and check one takes as long as to answer it.
CACHED_LOOKUPS = 4096
CACHED_LOOKUP_BYTES = 1024
# The newest, and those of answers that were read ahead of the feed.
CACHED_MOMENTS = 64

Parsed = TypeVar("Parsed")
AnyReading = BatchGetConfigurationsRequest | ListConfigurationsRequest | ListConfigurationVersionsRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A GetConfigurationRequest. `epoch`: the expected one; empty: any."""

    ref: ConfigurationRef
    moment: Now | PastMoment
    epoch: str
    as_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[Parsed]):
    """A request for a response with an epoch. `epoch`: the expected one; empty: any."""

    parsed: Parsed
    epoch: str
    as_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPair:
    """A DiffConfigurationVersionsRequest. Version 0: the newest, and the one before it."""

    ref: ConfigurationRef
    from_version: int
    to_version: int
    as_text: bool


def lookup(request: GetConfigurationRequest) -> Lookup:
    with Violations() as violations:
        return Lookup(
            ref=fields.configuration_ref(request, "", violations),
            moment=_moment(request, violations),
            epoch=epoch(request.epoch, violations),
            as_text=wants_json(request.format, violations),
        )


def _moment(request: GetConfigurationRequest, violations: Violations) -> Now | PastMoment:
    if request.WhichOneof("moment") != "version":
        return moment(request, violations)
    if request.version < 1:
        violations.add("version", f"is {request.version}: versions are counted from 1")
    return AtVersion(version=request.version)


def lookup_from(data: bytes) -> Lookup:
    """Parse the encoded request, or recall it. Raises InvalidRequestError or UnsupportedFieldError."""
    return _cached_lookup(data) if len(data) <= CACHED_LOOKUP_BYTES else _lookup_from(data)


def _lookup_from(data: bytes) -> Lookup:
    return lookup(parsed_message(GetConfigurationRequest, data))


_cached_lookup = lru_cache(maxsize=CACHED_LOOKUPS)(_lookup_from)


def batch_lookup(request: BatchGetConfigurationsRequest, scope: Scope) -> Reading[BatchLookup]:
    with Violations() as violations:
        if not 1 <= len(request.refs) <= MAX_BATCH:
            violations.add("refs", f"has {len(request.refs)} items: must have between 1 and {MAX_BATCH}")
        refs = enumerate(request.refs[:MAX_BATCH])
        lookup = BatchLookup(
            refs=[fields.configuration_ref(ref, f"refs[{index}]", violations) for index, ref in refs],
            moment=moment(request, violations),
            with_config=fields.wants_config(request.view, violations),
            scope=scope,
        )
        return _reading(request, lookup, violations)


def _reading(request: AnyReading, parsed: Parsed, violations: Violations) -> Reading[Parsed]:
    return Reading(
        parsed=parsed, epoch=epoch(request.epoch, violations), as_text=wants_json(request.format, violations)
    )


def listing(request: ListConfigurationsRequest, scope: Scope) -> Reading[ConfigurationListing]:
    with Violations() as violations:
        listing = ConfigurationListing(
            chosen=configuration_filter(request.selector, scope, violations),
            moment=moment(request, violations),
            with_config=fields.wants_config(request.view, violations),
            with_deleted=request.show_deleted,
            page=page_request(request, configuration_key, violations),
        )
        return _reading(request, listing, violations)


def version_listing(request: ListConfigurationVersionsRequest, scope: Scope) -> Reading[VersionListing]:
    with Violations() as violations:
        listing = VersionListing(
            ref=fields.configuration_ref(request, "", violations),
            moment=moment(request, violations),
            with_config=fields.wants_config(request.view, violations),
            scope=scope,
            page=page_request(request, number_key, violations),
        )
        return _reading(request, listing, violations)


def comparison(request: DiffConfigurationVersionsRequest) -> VersionPair:
    with Violations() as violations:
        return VersionPair(
            ref=fields.configuration_ref(request, "", violations),
            from_version=fields.non_negative(request.from_version, "from_version", violations),
            to_version=fields.non_negative(request.to_version, "to_version", violations),
            as_text=wants_json(request.format, violations),
        )


def encoded_response(configuration: Configuration, *, as_text: bool) -> bytes:
    """Return an encoded GetConfigurationResponse that lacks its revision and epoch: see `encoded_moment`."""
    response = GetConfigurationResponse()
    fill_configuration(response.configuration, configuration, as_text=as_text)
    return response.SerializeToString()


def response_as_struct(encoded: bytes) -> bytes:
    """Return what `encoded_response` makes of the same configuration as a Struct, given its encoding as text.

    Raises RecordUnreadableError.
    """
    response = GetConfigurationResponse.FromString(encoded)
    text = response.configuration.config_json
    set_content(response.configuration, Content(None, text), response.configuration, as_text=False)
    return response.SerializeToString()


@lru_cache(maxsize=CACHED_MOMENTS)
def encoded_moment(revision: int, epoch: str) -> bytes:
    """Return the rest of an encoded GetConfigurationResponse, to append to what `encoded_response` returns."""
    return GetConfigurationResponse(revision=revision, epoch=epoch).SerializeToString()


def batch_response(
    configurations: Sequence[Configuration | None], revision: int, epoch: str, *, as_text: bool
) -> BatchGetConfigurationsResponse:
    """Return the response with a result for each configuration, in order. Raises ResponseTooLargeError."""
    fitted = fitting(map(partial(_result, as_text=as_text), configurations))
    if len(fitted) < len(configurations):
        raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)
    return BatchGetConfigurationsResponse(results=fitted, revision=revision, epoch=epoch)


def _result(configuration: Configuration | None, *, as_text: bool) -> ConfigurationResult:
    result = ConfigurationResult()
    if configuration is not None:
        fill_configuration(result.configuration, configuration, as_text=as_text)
    return result


def list_response(
    request: ListConfigurationsRequest,
    page: Page[Configuration],
    application_id: str | None,
    epoch: str,
    *,
    as_text: bool,
) -> ListConfigurationsResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(
        request,
        page,
        partial(configuration_message, as_text=as_text),
        key_with_deleted if request.show_deleted else key_of,
        resource_id=application_id,
    )
    return ListConfigurationsResponse(
        configurations=fitted.messages,
        next_page_token=fitted.next_page_token,
        revision=page.revision,
        epoch=epoch,
    )


def versions_response(
    request: ListConfigurationVersionsRequest,
    page: VersionsPage,
    configuration_id: str,
    epoch: str,
    *,
    as_text: bool,
) -> ListConfigurationVersionsResponse:
    """Return the response that carries as much of the page as fits."""

    def key(version: ConfigurationVersion) -> tuple[int]:
        return (version.configuration.version,)

    fitted = fitting_page(
        request,
        page.versions,
        partial(version_message, as_text=as_text),
        key,
        last_key=None if page.last is None else (page.last,),
        # All pages show the versions up to one revision.
        revision=page.revision,
        resource_id=configuration_id,
    )
    return ListConfigurationVersionsResponse(
        versions=fitted.messages,
        next_page_token=fitted.next_page_token,
        compacted=page.compacted,
        revision=page.revision,
        epoch=epoch,
    )
