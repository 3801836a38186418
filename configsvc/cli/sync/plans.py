"""Plans: the actions that make the service what a tree says, and what forbids them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from configsvc.cli.differences import Difference, differences
from configsvc.cli.sync.state import LiveApplication, LiveBinding, LiveConfiguration, LiveSchema, SourceId
from configsvc.cli.sync.tree import Binding, ConfigurationFile, Pin, SchemaFile


class OnDrift(StrEnum):
    """The treatment of configurations that were changed by hand."""

    REFUSE = "refuse"
    REVERT = "revert"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The options of a plan."""

    prune: bool = False
    prune_limit: int | None = None
    on_drift: OnDrift = OnDrift.REFUSE


class Kind(StrEnum):
    """The kinds of changes."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a configuration. `fields` are those that change: name, config, schema, comments; `pin` is the schema
    version that it gets, None for none.
    """

    kind: Kind
    application: str
    name: str
    file: ConfigurationFile | None = None
    live: LiveConfiguration | None = None
    fields: tuple[str, ...] = ()
    pin: Pin | None = None
    reverts_drift: bool = False

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences of the content, from the live one to that of the file."""
        if self.file is None or self.live is None:
            return ()
        return tuple(differences(self.live.config, self.file.config))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A configuration that was changed by hand since it was applied, and is not what the tree says. `applied` is the
    version of then, if it is still kept.
    """

    application: str
    name: str
    text: str
    file: ConfigurationFile | None = None
    live: LiveConfiguration | None = None
    applied: LiveConfiguration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """A new schema, or a new version of one. `version` is the number that it will get."""

    file: SchemaFile
    version: int
    live: LiveSchema | None = None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences of the document."""
        return tuple(differences(self.live.document, self.file.document)) if self.live else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A fact that forbids to apply a plan."""

    text: str
    hint: str = ""


@dataclass(slots=True, kw_only=True)
class ApplicationPlan:
    """The actions for one application, which are one commit.

    The marks of `refreshed` are set to their versions, although nothing of them changes; the ids of `dropped` are those
    of configurations that are gone.
    `left` are names that --prune would delete, `unmanaged` counts configurations that no source applied.
    """

    name: str
    live: LiveApplication | None = None
    changes: list[Change] = field(default_factory=list[Change])
    drifts: list[Drift] = field(default_factory=list[Drift])
    refreshed: list[LiveConfiguration] = field(default_factory=list[LiveConfiguration])
    dropped: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])
    unmanaged: int = 0
    comments: str | None = None
    new_bindings: list[Binding] = field(default_factory=list[Binding])
    removed_bindings: list[LiveBinding] = field(default_factory=list[LiveBinding])
    extra_bindings: list[LiveBinding] = field(default_factory=list[LiveBinding])
    # The folder left the tree.
    leaves: bool = False
    deletes: bool = False
    # The source gives up the application, which others use.
    releases: bool = False

    @property
    def creates(self) -> bool:
        """True if the application does not exist yet."""
        return self.live is None

    @property
    def changed(self) -> bool:
        """True if something that people see changes."""
        return bool(
            self.creates
            or self.deletes
            or self.changes
            or self.comments is not None
            or self.new_bindings
            or self.removed_bindings
        )

    @property
    def claims(self) -> bool:
        """True if the application gets this source as its owner."""
        return self.live is None or self.live.owner is None

    @property
    def writes(self) -> bool:
        """True if there is something to write, be it marks alone."""
        return self.changed or self.claims or self.releases or bool(self.refreshed or self.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions that make the service what the tree says. With problems, it must not be applied."""

    source: SourceId
    epoch: str
    revision: int
    schemas: tuple[SchemaChange, ...]
    applications: tuple[ApplicationPlan, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def changes(self) -> Iterator[Change]:
        """The changes of all applications."""
        return (change for application in self.applications for change in application.changes)

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """The drift of all applications."""
        return tuple(drift for application in self.applications for drift in application.drifts)

    @property
    def changed(self) -> bool:
        """True if something that people see changes."""
        return bool(self.schemas) or any(application.changed for application in self.applications)

    def count(self, kind: Kind) -> int:
        """Return the number of configurations with this kind of change."""
        return sum(change.kind is kind for change in self.changes)
