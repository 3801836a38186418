"""Application of plans: everything is checked before anything changes; then schemas, then one commit an application.

What is refused although it was checked, as somebody was faster, stops that application alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from configsvc.cli import pb
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.progress import progress
from configsvc.cli.session import Session
from configsvc.cli.sync.checking import ToolsMissingError, check_tree
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.live import read_live, read_schema
from configsvc.cli.sync.naming import SCHEMAS
from configsvc.cli.sync.planning import plan
from configsvc.cli.sync.plans import ApplicationPlan, Change, Kind, Plan, PlanOptions
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.refusals import is_of_one_application, named, outcomes, partly_refused
from configsvc.cli.sync.requests import Part, origin_of, parts_of, references_of, request_id, schema_parts
from configsvc.cli.sync.tree import ConfigurationFile, Pin, SchemaFile, Tree

Confirm = Callable[[Session, Plan], None]
Check = Callable[[], None]

# A commit of a thousand writes, or an import of schemas with all that are pinned to them.
_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A tree, and the folder that it was read from."""

    directory: Path
    tree: Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of an application. `revision` is that of its last commit; 0 if nothing was to change."""

    plan: Plan
    revision: int

    @property
    def changed(self) -> bool:
        """True if something was written, be it marks alone."""
        return self.plan.changed or self.revision > 0


def run(session: Session, directory: Path, commit: Commit, options: PlanOptions, check: Check = lambda: None) -> Result:
    """Plan and apply a tree, without questions. With session.dry_run, nothing changes. `check` is called before each
    step, and ends it with a CliError. Raises CliError.
    """
    tree = read_tree(directory)
    made = plan(tree, read_live(session, tree, commit.source), commit.source, options)
    return apply_plan(session, made, Files(directory=directory, tree=tree), commit, check=check)


def check_problems(made: Plan) -> None:
    """Raise CliError if something forbids to apply the plan."""
    texts = [problem.text for problem in made.problems]
    hint = " ".join(dict.fromkeys(problem.hint for problem in made.problems if problem.hint))
    if len(texts) == 1:
        raise CliError(texts[0], ExitCode.CONFLICT, hint=hint)
    if texts:
        raise CliError("the plan cannot be applied", ExitCode.CONFLICT, details=texts, hint=hint)


def check_plan(session: Session, made: Plan, files: Files, commit: Commit) -> None:
    """Check a plan as `apply_plan` does before it changes anything. Raises CliError.

    Viewers may plan, too: if the service refuses to check for them, all contents are checked here.
    """
    check_problems(made)
    applier = _Applier(session, made, commit, lambda: None)
    try:
        applier.check_files(files, everything=False)
    except ToolsMissingError as error:
        session.tell(f"contents that need a new schema or application are not checked: {error.text}; {error.hint}")
    try:
        applier.check_calls()
    except CliError as error:
        if error.reason != "PERMISSION_DENIED":
            raise
        session.tell(f"checked here alone, as you may not apply it: {error.text}")
        applier.check_files(files, everything=True)


def apply_plan(
    session: Session,
    made: Plan,
    files: Files,
    commit: Commit,
    *,
    confirm: Confirm | None = None,
    check: Check = lambda: None,
) -> Result:
    """Check a plan completely, let somebody confirm it, and apply it. Raises CliError."""
    check_problems(made)
    applier = _Applier(session, made, commit, check)
    applier.check_files(files, everything=False)
    applier.check_calls()
    if confirm is not None:
        confirm(session, made)
    return Result(plan=made, revision=0 if session.dry_run else applier.apply())


class _Applier:
    """The calls that apply a plan."""

    def __init__(self, session: Session, made: Plan, commit: Commit, check: Check) -> None:
        self._session = session
        self._check_goes_on = check
        self._calls = session.connection
        self._plan = made
        self._commit = commit
        self._origin = origin_of(session, commit)
        self._applications = [application for application in made.applications if application.writes]
        self._new_applications = {one.name for one in made.applications if one.creates}
        self._new_pins = {Pin(schema=change.file.name, version=change.version) for change in made.schemas}
        self._revision = 0

    # Before anything changes

    def check_files(self, files: Files, *, everything: bool) -> None:
        """Check contents here, with the schemas of the tree: everything, or what the service cannot check yet.

        Raises CliError.
        """
        changes = [change for change in self._plan.changes if everything or not self._service_checks(change)]
        wanted = [change.pin.schema for change in changes if change.pin]
        if everything:
            wanted += [change.file.name for change in self._plan.schemas]
        if changes or wanted:
            self._check_contents(files, changes, wanted)

    def check_calls(self) -> None:
        """Let the service find the faults of every call. Raises CliError."""
        names: set[str] = set()
        for schemas in schema_parts(self._plan.schemas):
            # Of what an earlier call brings, the service knows nothing yet.
            if not names & {name for schema in schemas for name in references_of(schema.document_json)}:
                self._import_schemas(schemas, validate_only=True)
            names |= {schema.name for schema in schemas}
        with progress("checking") as advance:
            for number, application in enumerate(self._applications):
                self._check_goes_on()
                self._check_application(application)
                advance(number + 1, len(self._applications))

    def _service_checks(self, change: Change) -> bool:
        """Return true if the service can check a change before anything else changes: it has the application and the
        schema version already.
        """
        return change.file is None or (
            change.application not in self._new_applications and change.pin not in self._new_pins
        )

    def _check_contents(self, files: Files, changes: list[Change], wanted: list[str]) -> None:
        """Check changes with the schemas that are wanted: those of the tree, or else stored ones."""
        versions: dict[str, int] = {}
        schemas: dict[str, SchemaFile] = {}
        while wanted:
            name = wanted.pop()
            if name not in schemas:
                versions[name], schemas[name] = self._newest(files, name)
                wanted += references_of(schemas[name].document)
        checked: dict[str, dict[str, ConfigurationFile]] = {}
        for change in changes:
            if change.file is not None:
                is_newest = change.pin is not None and change.pin.version == versions[change.pin.schema]
                pin = Pin(schema=change.pin.schema) if change.pin and is_newest else change.pin
                checked.setdefault(change.application, {})[change.name] = replace(change.file, schema=pin)
        applications = {
            name: replace(files.tree.applications[name], configurations=found) for name, found in checked.items()
        }
        unchecked = check_tree(Tree(schemas=schemas, applications=applications), files.directory).unchecked
        if unchecked:
            self._session.tell(f"not checked yet, as an older version of a schema is pinned: {', '.join(unchecked)}")

    def _newest(self, files: Files, name: str) -> tuple[int, SchemaFile]:
        """Return a schema as the plan leaves it, with its version: as in the tree, or else as the service has it."""
        for change in self._plan.schemas:
            if change.file.name == name:
                return change.version, change.file
        stored = read_schema(self._session, name)
        path = PurePosixPath(SCHEMAS, f"{name}.json")
        file = files.tree.schemas.get(name) or SchemaFile(name=name, path=path, document=stored.document)
        return stored.version, file

    def _check_application(self, application: ApplicationPlan) -> None:
        if application.live is None:
            self._create_application(application, validate_only=True)
            return
        checked = replace(
            application, changes=[change for change in application.changes if self._service_checks(change)]
        )
        parts = parts_of(checked, application.live.id)
        # A name that an earlier part gives up is not free yet.
        renames = any(change.kind is Kind.RENAME for change in application.changes)
        for part in parts[:1] if renames else parts:
            request = self._apply_request(application.live.id, application.live.etag, part, self._plan.revision)
            request.validate_only = True
            self._apply_part(application, request)
        for method, further in self._further(application, application.live.id):
            further.validate_only = True
            if isinstance(further, pb.DeleteApplicationRequest):
                # Its configurations are still there.
                further.force = True
            self._call(method, further)

    # Changes

    def apply(self) -> int:
        """Apply the plan; return the revision of the last commit. An application that the service refuses does not keep
        the others from being applied. Raises CliError at the end, or at once where no other call could succeed.
        """
        for schemas in schema_parts(self._plan.schemas):
            self._check_versions(self._import_schemas(schemas, validate_only=False))
        refused: dict[str, CliError] = {}
        with progress("applying") as advance:
            for number, application in enumerate(self._applications):
                try:
                    self._apply_application(application)
                except CliError as error:
                    if not is_of_one_application(error):
                        error.details += outcomes(refused, number - len(refused), len(self._applications))
                        raise
                    refused[application.name] = error
                advance(number + 1, len(self._applications))
        if refused:
            raise partly_refused(refused, len(self._applications))
        return self._revision

    def _import_schemas(self, schemas: "list[pb.ImportedSchema]", *, validate_only: bool) -> Any:
        # As the files have them, so that what an editor accepts is accepted. No configuration moves by itself: each
        # moves in the commit of its application, together with its content.
        request = pb.ImportSchemasRequest(
            schemas=schemas,
            closing=pb.CLOSING_AS_WRITTEN,
            mode=pb.SCHEMA_VERSION_MODE_PINNED,
            validate_only=validate_only,
            **self._origin,
        )
        return self._call(self._calls.schemas.ImportSchemas, request)

    def _check_versions(self, answer: Any) -> None:
        planned = {change.file.name: change.version for change in self._plan.schemas}
        for made in answer.imports:
            if made.version != planned[made.name]:
                raise CliError(
                    f"the schema {made.name} has version {made.version}, and version {planned[made.name]} was planned",
                    ExitCode.CONFLICT,
                    hint="Somebody else changed it meanwhile. Plan again.",
                )

    def _apply_application(self, plan: ApplicationPlan) -> None:
        unchanged_since = self._plan.revision
        if plan.live is None:
            created = self._create_application(plan, validate_only=False)
            identifier, etag, unchanged_since = created.application.id, "", created.revision
        else:
            identifier, etag = plan.live.id, plan.live.etag
        self._write(plan, identifier, etag, unchanged_since)
        for method, request in self._further(plan, identifier):
            self._call(method, request)

    def _further(self, plan: ApplicationPlan, identifier: str) -> Iterator[tuple[Callable[..., Any], Any]]:
        """Yield the calls that follow the commit of an application: each is a commit of its own."""
        application = pb.ApplicationRef(id=identifier)
        if plan.live is not None and plan.comments is not None:
            yield (
                self._calls.applications.UpdateApplication,
                pb.UpdateApplicationRequest(
                    id=identifier,
                    application=pb.Application(comments=plan.comments),
                    update_mask=pb.FieldMask(paths=["comments"]),
                    **self._origin,
                ),
            )
        yield from self._bindings(plan, application)
        if plan.deletes:
            yield (
                self._calls.applications.DeleteApplication,
                pb.DeleteApplicationRequest(id=identifier, **self._origin),
            )
        elif plan.releases:
            yield self._calls.sources.ReleaseSource, pb.ReleaseSourceRequest(application=application)

    def _bindings(
        self, plan: ApplicationPlan, application: "pb.ApplicationRef"
    ) -> Iterator[tuple[Callable[..., Any], Any]]:
        for binding in plan.new_bindings:
            yield (
                self._calls.access.CreateRoleBinding,
                pb.CreateRoleBindingRequest(
                    principal=binding.principal,
                    role=pb.Role.Value(f"ROLE_{binding.role.upper()}"),
                    application=application,
                    **self._origin,
                ),
            )
        for extra in plan.removed_bindings:
            yield (
                self._calls.access.DeleteRoleBinding,
                pb.DeleteRoleBindingRequest(id=extra.id, allow_missing=True, **self._origin),
            )

    def _write(self, plan: ApplicationPlan, identifier: str, etag: str, unchanged_since: int) -> None:
        parts = parts_of(plan, identifier)
        if len(parts) > 1:
            self._session.tell(f"{plan.name}: too much for one commit; applied in {len(parts)} commits")
        for part in parts:
            request = self._apply_request(identifier, etag, part, unchanged_since)
            answer = self._apply_part(plan, request)
            etag = answer.source.etag
            unchanged_since = max(unchanged_since, answer.revision)

    def _apply_part(self, plan: ApplicationPlan, request: "pb.ApplySourceRequest") -> Any:
        try:
            return self._call(self._calls.sources.ApplySource, request)
        except CliError as error:
            raise named(error, plan, request) from None

    def _apply_request(self, identifier: str, etag: str, part: Part, unchanged_since: int) -> "pb.ApplySourceRequest":
        application = pb.ApplicationRef(id=identifier)
        return pb.ApplySourceRequest(
            application=application,
            source=pb.SourceRevision(
                repository=self._commit.repository, path=self._commit.path, commit=self._commit.commit
            ),
            expected_etag=etag,
            writes=part.writes,
            released_ids=part.released_ids,
            preconditions=[
                pb.Precondition(
                    selector=pb.ConfigurationSelector(application=application),
                    unchanged_since=unchanged_since,
                    epoch=self._plan.epoch,
                )
            ],
            **self._origin,
        )

    def _create_application(self, plan: ApplicationPlan, *, validate_only: bool) -> Any:
        request = pb.CreateApplicationRequest(
            name=plan.name, comments=plan.comments or "", validate_only=validate_only, **self._origin
        )
        return self._call(self._calls.applications.CreateApplication, request)

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        if not request.validate_only:
            self._check_goes_on()
            request.request_id = request_id(self._plan, request)
        answer = self._calls.call(method, request, _SECONDS)
        # A released source is no commit.
        self._revision = max(self._revision, getattr(answer, "revision", 0))
        return answer
