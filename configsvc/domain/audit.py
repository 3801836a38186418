"""The audit trail: what each commit did to each resource, and what callers ask of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from configsvc.domain.access import Role
from configsvc.domain.models import ApplicationRef, Kind, Operation, Origin, SchemaVersionRef
from configsvc.domain.scope import Scope


class Place(NamedTuple):
    """The place of a change in the log; version is that of its resource."""

    revision: int
    ordinal: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one commit did to one resource; time is that of the commit. previous_name is empty where the name stayed,
    the application where the resource has none. role is that of a role binding.
    """

    place: Place
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
    """Chooses changes; what is None or empty chooses all. Names are those at the change. Times are those of commits,
    end_time excluded; revisions those after after_revision up to until_revision. scope: the
    applications that the caller may read of; outside_applications: also what belongs to none.
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
    """Changes, newest first. The next page goes on before last; None on the last page. What was before
    compacted_revision is not complete.
    """

    changes: tuple[Change, ...]
    last: Place | None
    compacted_revision: int
