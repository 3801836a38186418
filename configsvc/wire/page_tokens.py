"""Page tokens: where a list goes on. Opaque to callers.

A digest binds a token to its request and shows alterations. A token is neither secret nor signed: it grants nothing
that the caller could not ask for in other ways. Outside, it names the epoch too, in which its revision counts.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, TypeAlias

from google.longrunning.operations_proto_pb2 import ListOperationsRequest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configapi.v1.access_service_pb2 import ListRoleBindingsRequest
from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest, ListConfigurationVersionsRequest
from configapi.v1.operation_service_pb2 import ListOperationItemsRequest
from configapi.v1.schema_service_pb2 import ListSchemasRequest, ListSchemaVersionsRequest
from configapi.v1.server_service_pb2 import ListWatchesRequest
from configapi.v1.source_service_pb2 import ListAppliedConfigurationsRequest, ListSourcesRequest
from configsvc.domain.errors import Violations
from configsvc.wire.fingerprints import fingerprint

AnyList: TypeAlias = (
    ListApplicationsRequest
    | ListConfigurationsRequest
    | ListConfigurationVersionsRequest
    | ListChangesRequest
    | ListOperationItemsRequest
    | ListOperationsRequest
    | ListSchemasRequest
    | ListSchemaVersionsRequest
    | ListRoleBindingsRequest
    | ListWatchesRequest
    | ListSourcesRequest
    | ListAppliedConfigurationsRequest
)

AnyKey: TypeAlias = "list[str | int]"

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,256}$")]
_Id = Annotated[str, Field(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
_Number = Annotated[int, Field(ge=0, lt=2**63)]


_WITH_EPOCH = re.compile(r"(?P<token>[A-Za-z0-9_=-]+)\.(?P<epoch>[0-9-]+)\.(?P<digest>[0-9a-f]+)", re.ASCII)
# No list takes this for one of its tokens.
_REFUSED = "."


class PageToken(BaseModel):
    """The revision that all pages show, the id of the resource that the request names, and the key after which the
    next page begins: names or numbers.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    revision: _Number
    resource_id: _Id | None
    after: list[_Name | _Number]
    digest: str


def page_token(request: AnyList, *, revision: int, resource_id: str | None, after: tuple[str | int, ...] | None) -> str:
    """Return the token of the next page; empty if there is none."""
    if after is None:
        return ""
    digest = _digest(request, revision, resource_id, after)
    token = PageToken(revision=revision, resource_id=resource_id, after=list(after), digest=digest)
    return base64.urlsafe_b64encode(token.model_dump_json().encode()).decode()


def with_epoch(token: str, epoch: str) -> str:
    """Return the token as clients get it; empty for no token."""
    return f"{token}.{epoch}.{_digest_with_epoch(token, epoch)}" if token else ""


def without_epoch(token: str) -> tuple[str, str]:
    """Return a token of a client as lists parse it, and its epoch; for any other text, one that they refuse."""
    found = _WITH_EPOCH.fullmatch(token)
    if found is None or found["digest"] != _digest_with_epoch(found["token"], found["epoch"]):
        return _REFUSED, ""
    return found["token"], found["epoch"]


def _digest_with_epoch(token: str, epoch: str) -> str:
    return blake2b(f"{token}.{epoch}".encode(), digest_size=8).hexdigest()


def parsed_page_token(request: AnyList, violations: Violations) -> PageToken | None:
    """Return the token that the request carries; None on the first page."""
    if not request.page_token:
        return None
    try:
        token = PageToken.model_validate_json(base64.b64decode(request.page_token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, ValidationError):
        violations.add("page_token", "is not a page token of this service")
        return None
    if token.digest != _digest(request, token.revision, token.resource_id, token.after):
        add_foreign_token(violations)
        return None
    return token


def add_foreign_token(violations: Violations) -> None:
    """Note that the page token was issued for another request."""
    violations.add("page_token", "belongs to another request: only page_size may differ between the pages of a list")


def _digest(request: AnyList, revision: int, resource_id: str | None, after: Iterable[str | int]) -> str:
    salt = f"{revision} {resource_id} {' '.join(map(str, after))}"
    return fingerprint(request, without=("page_token", "page_size"), salt=salt).hex()[:32]
