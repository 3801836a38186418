"""Callers, roles and permissions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from configsvc.domain.errors import Violations
from configsvc.domain.lookalikes import lookalike_fault
from configsvc.domain.models import ApplicationRef, IdRef
from configsvc.domain.scope import Everything, Only, Scope

MAX_PRINCIPAL_NAME_LENGTH = 512

# No control characters, and no halves of surrogate pairs: a JSON escape can bring these, but UTF-8 cannot encode them.
_PRINCIPAL = re.compile(
    rf"(user|group|certificate):[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_PRINCIPAL_NAME_LENGTH}}}"
)


class Role(IntEnum):
    """A role. Each includes the permissions of those before it."""

    NONE = 0
    VIEWER = 1
    EDITOR = 2
    ADMIN = 3


class Authentication(StrEnum):
    """The way in which a caller proved its identity."""

    NONE = "none"
    OIDC = "oidc"
    MTLS = "mtls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The proven identity of a caller. `groups` are principals too. `expires` is in seconds since 1970; None: never."""

    principal: str
    groups: frozenset[str]
    authentication: Authentication
    expires: float | None

    @property
    def principals(self) -> tuple[str, ...]:
        """The principals whose roles the caller has."""
        return (self.principal, *sorted(self.groups))


ANONYMOUS = Identity(principal="anonymous", groups=frozenset(), authentication=Authentication.NONE, expires=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The role that a role binding grants, for one application or, where application_id is None, for all."""

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
    """The permissions of a caller: its highest role anywhere, its role for all applications, and by application id its
    roles for single ones; `ids` are their ids by name.
    """

    highest: Role
    everywhere: Role
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    ids: Mapping[str, str] = field(default_factory=dict[str, str])

    def application_id(self, ref: ApplicationRef) -> str | None:
        """Return the id of an application that the caller has a role for alone, or None."""
        return ref.id if isinstance(ref, IdRef) else self.ids.get(ref.name)

    def allows(self, role: Role, application_id: str | None) -> bool:
        """Return whether the caller has a role for an application (None: for all)."""
        return self.everywhere >= role or (
            application_id is not None and self.roles.get(application_id, Role.NONE) >= role
        )

    def scope(self, role: Role) -> Scope:
        """Return the applications that the caller has a role for."""
        if self.everywhere >= role:
            return Everything()
        return Only(frozenset(application_id for application_id, held in self.roles.items() if held >= role))


EVERYTHING = Access(highest=Role.ADMIN, everywhere=Role.ADMIN)
NOTHING = Access(highest=Role.NONE, everywhere=Role.NONE)


def is_principal(text: str) -> bool:
    """Return whether a text is a valid principal."""
    return _PRINCIPAL.fullmatch(text) is not None


def check_principal(principal: str, field_name: str, violations: Violations) -> None:
    """Add a fault unless the principal is valid."""
    if not is_principal(principal):
        violations.add(
            field_name,
            "must be user:NAME, group:NAME or certificate:NAME, with a NAME of "
            f"1 to {MAX_PRINCIPAL_NAME_LENGTH} printable characters",
        )


def check_new_principal(principal: str, field_name: str, violations: Violations) -> None:
    """Add a fault unless the principal is valid, and nothing lets it look like another one."""
    check_principal(principal, field_name, violations)
    fault = lookalike_fault(principal)
    if is_principal(principal) and fault:
        violations.add(field_name, fault)
