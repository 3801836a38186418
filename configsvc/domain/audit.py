"""The audit trail: changes of resources by commits, and filters for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from configsvc.domain.access import Role
from configsvc.domain.models import ApplicationRef, Kind, Operation, Origin, SchemaVersionRef
from configsvc.domain.scope import Scope


class LogPosition(NamedTuple):
    """The position of a change in the log; version is that of its resource."""

    revision: int
    ordinal: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of one resource by one commit. time: of the commit; previous_name: empty if the name stayed;
    application: empty if the resource has none; role: of a role binding.
    """

    position: LogPosition
    time: datetime
    operation: Operation
    kind: Kind
    resource_id: str
    previous_version: int
    application_id: str
    application: str
    name: str
    previous_name: str
    schema: SchemaVersionRef | None
    actor: str
    reason: str
    request_id: str
    origin: Origin
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFilter:
    """A filter of changes; None or empty fields match all. Names are those at the change, times those of commits.
    end_time and after_revision are exclusive, start_time and until_revision inclusive. scope: applications that the
    caller may read; outside_applications: include resources of no application.
    """

    scope: Scope
    outside_applications: bool
    actor: str = ""
    application: ApplicationRef | None = None
    kind: Kind | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    after_revision: int = 0
    until_revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesPage:
    """A page of changes, newest first. The next page continues before last; None on the last page. Changes before
    compacted_revision are incomplete.
    """

    changes: tuple[Change, ...]
    last: LogPosition | None
    compacted_revision: int
