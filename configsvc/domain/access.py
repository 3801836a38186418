"""Who calls, and what they may do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from configsvc.domain.errors import Violations
from configsvc.domain.models import ApplicationRef, IdRef
from configsvc.domain.scope import Everything, Only, Scope

MAX_PRINCIPAL_NAME_LENGTH = 512

# Neither a control character nor half of a surrogate pair, which a JSON escape can bring and UTF-8 cannot hold.
_PRINCIPAL = re.compile(
    rf"(user|group|certificate):[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_PRINCIPAL_NAME_LENGTH}}}"
)


class Role(IntEnum):
    """What a principal may do; each role may do what those before it may."""

    NONE = 0
    VIEWER = 1
    EDITOR = 2
    ADMIN = 3


class Authentication(StrEnum):
    """How a caller proved who it is."""

    NONE = "none"
    OIDC = "oidc"
    MTLS = "mtls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a caller has proved to be. groups are principals too. expires is a time of the system's clock, in seconds
    since 1970; None: never.
    """

    principal: str
    groups: frozenset[str]
    authentication: Authentication
    expires: float | None

    @property
    def principals(self) -> tuple[str, ...]:
        """Everything that a role may be bound to for it."""
        return (self.principal, *sorted(self.groups))


ANONYMOUS = Identity(principal="anonymous", groups=frozenset(), authentication=Authentication.NONE, expires=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a role binding gives; application_id None: for all applications."""

    principal: str
    role: Role
    application_id: str | None
    application: str | None

    def __str__(self) -> str:
        where = "all applications" if self.application_id is None else f"application {self.application}"
        return f"{self.role.name.lower()} of {where} to {self.principal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBinding:
    """A role of a principal, for one application or, where application_id is None, for all. revision is 0 before its
    commit.
    """

    id: str
    principal: str
    role: Role
    application_id: str | None
    application: str | None
    version: int
    revision: int
    create_time: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody may do: the highest role that is held anywhere, the one for all applications, and those for single
    ones, by their ids; ids by name.
    """

    highest: Role
    everywhere: Role
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    ids: Mapping[str, str] = field(default_factory=dict[str, str])

    def application_id(self, ref: ApplicationRef) -> str | None:
        """The id of the application, where there is a role for it alone."""
        return ref.id if isinstance(ref, IdRef) else self.ids.get(ref.name)

    def allows(self, role: Role, application_id: str | None) -> bool:
        """Whether the role is held for the application; None: for all of them."""
        return self.everywhere >= role or (
            application_id is not None and self.roles.get(application_id, Role.NONE) >= role
        )

    def scope(self, role: Role) -> Scope:
        """The applications for which the role is held."""
        if self.everywhere >= role:
            return Everything()
        return Only(frozenset(application_id for application_id, held in self.roles.items() if held >= role))


EVERYTHING = Access(highest=Role.ADMIN, everywhere=Role.ADMIN)
NOTHING = Access(highest=Role.NONE, everywhere=Role.NONE)


def is_principal(text: str) -> bool:
    """Whether a role can be bound to it."""
    return _PRINCIPAL.fullmatch(text) is not None


def check_principal(principal: str, field_name: str, violations: Violations) -> None:
    """Notes a fault unless a role can be bound to it."""
    if not is_principal(principal):
        violations.add(
            field_name,
            "must be user:NAME, group:NAME or certificate:NAME, with a NAME of "
            f"1 to {MAX_PRINCIPAL_NAME_LENGTH} printable characters",
        )
