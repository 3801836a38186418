"""The rules of a plan: from a tree, the live state and what was applied last to actions. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from configsvc.cli.differences import same_value
from configsvc.cli.sync.comparing import changed_by_hand, differing_fields, drift_text
from configsvc.cli.sync.matching import Pair, pairs_of
from configsvc.cli.sync.plans import (
    ApplicationPlan,
    Change,
    Drift,
    Kind,
    OnDrift,
    Plan,
    PlanOptions,
    Problem,
    SchemaChange,
)
from configsvc.cli.sync.state import Live, LiveApplication, LiveConfiguration, Mark, SourceId
from configsvc.cli.sync.tree import ApplicationFolder, ConfigurationFile, Pin, Tree, Unpinned

# Deletions that need no --prune-limit: the larger of both.
FREE_DELETIONS = 10
FREE_SHARE_PERCENT = 20


def plan(tree: Tree, live: Live, source: SourceId, options: PlanOptions) -> Plan:
    """Return the plan that makes the service what the tree says."""
    return _Planner(tree, live, source, options).plan()


class _Planner:
    """Collects the actions and problems of a plan."""

    def __init__(self, tree: Tree, live: Live, source: SourceId, options: PlanOptions) -> None:
        self._tree = tree
        self._live = live
        self._source = source
        self._options = options
        self._problems: list[Problem] = []
        self._schemas = tuple(_schema_changes(tree, live))
        self._newest = {name: schema.version for name, schema in live.schemas.items()} | {
            change.file.name: change.version for change in self._schemas
        }

    def plan(self) -> Plan:
        if not self._tree.applications and not self._tree.schemas:
            self._refuse("the tree is empty", "Is this the right folder? An empty tree is never a plan.")
        applications = [self._of_folder(folder) for _, folder in sorted(self._tree.applications.items())]
        applications += [
            self._of_left_application(application)
            for name, application in sorted(self._live.applications.items())
            if name not in self._tree.applications and application.owner == self._source
        ]
        self._check_deletions(applications)
        return Plan(
            source=self._source,
            epoch=self._live.epoch,
            revision=self._live.revision,
            schemas=self._schemas,
            applications=tuple(applications),
            problems=tuple(self._problems),
        )

    def _refuse(self, text: str, hint: str = "") -> None:
        self._problems.append(Problem(text=text, hint=hint))

    def _of_folder(self, folder: ApplicationFolder) -> ApplicationPlan:
        application = self._live.applications.get(folder.name)
        made = ApplicationPlan(name=folder.name, live=application)
        if application is not None and not self._owned(application):
            return made
        if folder.comments is not None and (application is None or folder.comments != application.comments):
            made.comments = folder.comments
        self._plan_bindings(folder, made)
        self._plan_configurations(folder.configurations, made)
        return made

    def _owned(self, application: LiveApplication) -> bool:
        if application.owner is not None and application.owner != self._source:
            self._refuse(
                f"the application {application.name} belongs to another source: {application.owner}",
                "`configsvc sync release` gives it up there.",
            )
            return False
        if application.owner is None and any(
            one.application == application.name for one in self._live.configurations.values()
        ):
            self._refuse(
                f"the application {application.name} has configurations, and no source owns it",
                "`configsvc sync adopt` makes it this source's.",
            )
            return False
        return True

    def _of_left_application(self, application: LiveApplication) -> ApplicationPlan:
        made = ApplicationPlan(name=application.name, live=application, leaves=True)
        self._plan_configurations({}, made)
        empties = self._options.prune and len(made.drifts) == sum(change.reverts_drift for change in made.changes)
        made.deletes = empties and not made.unmanaged
        made.releases = empties and bool(made.unmanaged)
        return made

    def _plan_bindings(self, folder: ApplicationFolder, made: ApplicationPlan) -> None:
        if folder.bindings is None:
            return
        existing = (made.live.bindings or ()) if made.live else ()
        has = {found.binding for found in existing}
        made.new_bindings = [binding for binding in folder.bindings if binding not in has]
        extra = [found for found in existing if found.binding not in folder.bindings]
        if self._options.prune:
            made.removed_bindings = extra
        else:
            made.extra_bindings = extra

    # Configurations

    def _plan_configurations(self, files: Mapping[str, ConfigurationFile], made: ApplicationPlan) -> None:
        matched = pairs_of(made.name, files, self._live)
        for text in matched.problems:
            self._refuse(text)
        for pair in matched.pairs:
            self._plan_pair(pair, made)
        for left in matched.without_file:
            self._plan_without_file(left, made)
        # A deletion by hand that stays is drift in the next plan, too.
        kept = {drift.name for drift in made.drifts if drift.live is None} - {change.name for change in made.changes}
        made.dropped = [mark.id for mark in matched.gone if mark.name not in kept]
        self._check_names(made)

    def _plan_pair(self, pair: Pair, made: ApplicationPlan) -> None:
        file, live, mark = pair.file, pair.live, pair.mark
        pin = self._pin_of(file, live)
        if live is None:
            change = Change(kind=Kind.CREATE, application=made.name, name=file.name, file=file, pin=pin)
            self._add(change, made, drift="deleted" if mark is not None else "", mark=mark)
        elif mark is None:
            self._refuse_unmarked(live, is_replaced=pair.is_replaced)
        elif fields := differing_fields(file, live, pin):
            by_hand = changed_by_hand(fields, live, mark, file)
            change = Change(
                kind=Kind.RENAME if "name" in fields else Kind.UPDATE,
                application=made.name,
                name=file.name,
                file=file,
                live=live,
                fields=fields,
                pin=pin,
            )
            self._add(change, made, drift=drift_text(by_hand, live), mark=mark)
        elif mark.version != live.version:
            made.refreshed.append(live)

    def _refuse_unmarked(self, live: LiveConfiguration, *, is_replaced: bool) -> None:
        if is_replaced:
            self._refuse(
                f"{_key(live)} was deleted and created again by hand since it was applied",
                "`configsvc sync adopt` makes the new one this source's; the next plan shows what differs.",
            )
        else:
            self._refuse(
                f"{_key(live)} exists, and this source did not apply it",
                "`configsvc sync adopt` makes it this source's.",
            )

    def _plan_without_file(self, live: LiveConfiguration, made: ApplicationPlan) -> None:
        mark = self._live.marks.get(live.id)
        if mark is None:
            made.unmanaged += 1
        elif not self._options.prune:
            made.left.append(live.name)
        else:
            by_hand = changed_by_hand(("name", "config", "schema", "comments"), live, mark, None)
            change = Change(kind=Kind.DELETE, application=made.name, name=live.name, live=live)
            self._add(change, made, drift=drift_text(by_hand, live), mark=mark)

    def _add(self, change: Change, made: ApplicationPlan, *, drift: str, mark: Mark | None) -> None:
        """Take a change into the plan, unless it would undo a change by hand that is to stay."""
        if not drift:
            made.changes.append(change)
            return
        name = change.live.name if change.live else change.name
        made.drifts.append(
            Drift(
                application=made.name,
                name=name,
                text=f"{drift} by hand",
                file=change.file,
                live=change.live,
                applied=mark.applied if mark else None,
            )
        )
        match self._options.on_drift:
            case OnDrift.REVERT:
                made.changes.append(replace(change, reverts_drift=True))
            case OnDrift.REFUSE:
                self._refuse(
                    f"{made.name}/{name} was {drift} by hand since it was applied",
                    "`configsvc sync pull` takes such changes over into the files; --on-drift revert undoes them, "
                    "--on-drift report leaves them.",
                )
            case OnDrift.REPORT:
                pass

    def _pin_of(self, file: ConfigurationFile, live: LiveConfiguration | None) -> Pin | None:
        """Return the schema version that a file asks for; that of the service if it states none."""
        if file.schema is None:
            return live.schema if live else None
        if isinstance(file.schema, Unpinned):
            return None
        newest = self._newest.get(file.schema.schema)
        if newest is None or (file.schema.version or 0) > newest:
            version = "" if newest is None else f"@{file.schema.version}"
            self._refuse(f"{file.path}: the schema {file.schema.schema}{version} is neither in the tree nor stored")
            return None
        return Pin(schema=file.schema.schema, version=file.schema.version or newest)

    def _check_names(self, made: ApplicationPlan) -> None:
        """Refuse renames to names that are not free at the time of the commit."""
        given_up = {change.live.name for change in made.changes if change.kind is Kind.RENAME and change.live}
        taken = {live.name for live in self._live.configurations.values() if live.application == made.name}
        free = {change.name for change in made.changes if change.kind is Kind.DELETE}
        for change in made.changes:
            if change.kind is Kind.RENAME and change.name in taken - free:
                if change.name in given_up:
                    reason = "is given up by another rename: give it up in an earlier commit"
                else:
                    reason = "is that of another configuration, which the plan does not delete"
                self._refuse(f"{made.name}/{change.live.name if change.live else ''}: the name {change.name} {reason}")

    def _check_deletions(self, applications: list[ApplicationPlan]) -> None:
        deleted = sum(change.kind is Kind.DELETE for made in applications for change in made.changes)
        marked = sum(mark.id in self._live.configurations for mark in self._live.marks.values())
        limit = prune_limit(marked, self._options)
        if deleted and not self._tree.applications and self._options.prune_limit is None:
            self._refuse(
                f"the tree has no applications, and all {deleted} configurations of this source would be deleted",
                f"Is this the right folder? If that is meant: --prune-limit {deleted}.",
            )
        elif deleted > limit:
            self._refuse(
                f"{deleted} of the {marked} configurations of this source would be deleted, and the limit is {limit}",
                f"If that is meant: --prune-limit {deleted}.",
            )


def prune_limit(marked: int, options: PlanOptions) -> int:
    """Return the most configurations that a plan may delete."""
    if options.prune_limit is not None:
        return options.prune_limit
    return max(FREE_DELETIONS, marked * FREE_SHARE_PERCENT // 100)


def _schema_changes(tree: Tree, live: Live) -> Iterator[SchemaChange]:
    for name, file in sorted(tree.schemas.items()):
        existing = live.schemas.get(name)
        if existing is None:
            yield SchemaChange(file=file, version=1)
        elif not same_value(existing.document, file.document):
            yield SchemaChange(file=file, version=existing.version + 1, live=existing)


def _key(live: LiveConfiguration) -> str:
    return f"{live.application}/{live.name}"
