"""The audit trail: the change that each commit made to each resource."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from configsvc.domain.access import Role
from configsvc.domain.models import ApplicationRef, Kind, Operation, Origin, SchemaVersionRef
from configsvc.domain.scope import Scope


class LogPosition(NamedTuple):
    """The position of a change in the log, with the version of its resource."""

    revision: int
    ordinal: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change that one commit made to one resource. `time` is the time of the commit.

    `previous_name` is empty if the name did not change, `application` if the resource has none. `role` is the role of a
    role binding.
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
    """A filter of changes; None and empty values match all.

    Names are those at the time of the change. Times are times of commits, `end_time` excluded. Revisions are after
    `after_revision`, up to `until_revision`. `scope` are the applications that the caller may read;
    `outside_applications` includes what belongs to none.
    """

    scope: Scope
    outside_applications: bool
    actor: str
    application: ApplicationRef | None
    kind: Kind | None
    resource_id: str | None
    resource_name: str | None
    start_time: datetime | None
    end_time: datetime | None
    after_revision: int
    until_revision: int | None

    @property
    def has_filter(self) -> bool:
        """True if changes may be looked at that the page does not show."""
        asked = self.actor or self.application or self.kind or self.resource_id or self.resource_name
        return bool(asked or self.scope.ids is not None or not self.outside_applications)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesPage:
    """A page of changes, newest first. The next page begins before `last`; None on the last page. Changes before
    `compacted_revision` are incomplete. `head`: the revision of the last commit when the page was read.
    """

    changes: tuple[Change, ...]
    last: LogPosition | None
    compacted_revision: int
    head: int
