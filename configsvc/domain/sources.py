"""Sources: the files that own the configurations of an application, their marks, and the leases of who applies them."""

import re
from dataclasses import dataclass
from datetime import datetime

from configsvc.domain.errors import Violations
from configsvc.domain.etags import etag_of
from configsvc.domain.models import ApplicationRef

MAX_REPOSITORY_LENGTH = 1024
MAX_PATH_LENGTH = 1024
MAX_COMMIT_LENGTH = 256
MAX_HOLDER_LENGTH = 256
MAX_RELEASED = 1000
MIN_LEASE_SECONDS = 5.0
MAX_LEASE_SECONDS = 600.0
# Of one caller, with those that have expired and are not deleted yet.
MAX_LEASES = 1000

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# The user of these is often a token.
_WITHOUT_USER = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRevision:
    """The files of a commit that configurations come from."""

    repository: str
    path: str
    commit: str

    def __str__(self) -> str:
        return f"{self.repository} {self.path}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """The source of an application by its id, as of the last commit that was applied. `version` counts its changes."""

    application_id: str
    applied: SourceRevision
    version: int
    apply_time: datetime
    applied_by: str

    @property
    def etag(self) -> str:
        """An opaque text that differs for each version, also of sources that the application had before."""
        return etag_of(self.application_id, self.version, self.apply_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(SourceState):
    """The source of an application, with the number of configurations that it owns."""

    application: str
    applied_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """The new revision of the source of an application, whose etag must be the expected one; empty: it has none yet.

    `adopt`: take what exists and has no mark. `released_ids`: the configurations whose marks are removed.
    """

    application: ApplicationRef
    revision: SourceRevision
    expected_etag: str
    adopt: bool
    released_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRelease:
    """The removal of a source. `expected_etag` empty: any. `allow_missing`: if there is one."""

    application: ApplicationRef
    expected_etag: str
    allow_missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedConfiguration:
    """A mark: the version of a configuration that its source wrote last, or found as it should be."""

    id: str
    version: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPage:
    """A page of the marks of an application. `last_id`: the next page begins after it; None on the last page."""

    application_id: str
    source_etag: str
    marks: tuple[AppliedConfiguration, ...]
    last_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseKey:
    """The name of a lease: each actor has its own, so that nobody can hold up another one."""

    actor: str
    repository: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The state of a lease after a holder asked for it."""

    acquired: bool
    holder: str
    expire_time: datetime
    remaining_seconds: float


def check_repository(text: str, field: str, violations: Violations) -> None:
    """Add a fault unless a text can name a repository, without a password."""
    _check_required(text, field, MAX_REPOSITORY_LENGTH, violations)
    if _has_credentials(text):
        violations.add(field, "must not have credentials: leave out the user and the password in front of @")


def check_path(text: str, field: str, violations: Violations) -> None:
    """Add a fault unless a text can be the path of a folder in a repository."""
    _check_printable(text, field, MAX_PATH_LENGTH, violations)


def check_commit(text: str, field: str, violations: Violations) -> None:
    """Add a fault unless a text can name a commit."""
    _check_required(text, field, MAX_COMMIT_LENGTH, violations)


def check_holder(text: str, field: str, violations: Violations) -> None:
    """Add a fault unless a text can name the holder of a lease."""
    _check_required(text, field, MAX_HOLDER_LENGTH, violations)


def _check_required(text: str, field: str, limit: int, violations: Violations) -> None:
    if not text:
        violations.add(field, "is required")
    _check_printable(text, field, limit, violations)


def _check_printable(text: str, field: str, limit: int, violations: Violations) -> None:
    if len(text) > limit:
        violations.add(field, f"has {len(text)} characters: at most {limit} are allowed")
    elif not text.isprintable():
        violations.add(field, "must have printable characters only")


def _has_credentials(repository: str) -> bool:
    scheme = _SCHEME.match(repository)
    authority = repository[scheme.end() if scheme else 0 :].partition("/")[0]
    user, at, _ = authority.rpartition("@")
    return bool(at) and (":" in user or (scheme is not None and scheme[1].lower() in _WITHOUT_USER))
