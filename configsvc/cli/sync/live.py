"""Reading of the live state: all of it at one revision, or an error. Half a state would be a plan that deletes."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from configsvc.cli import pb
from configsvc.cli.documents import parse_json
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.plain import word
from configsvc.cli.progress import progress
from configsvc.cli.session import Session, pages
from configsvc.cli.sync.state import (
    Live,
    LiveApplication,
    LiveBinding,
    LiveConfiguration,
    LiveSchema,
    Mark,
    SourceId,
)
from configsvc.cli.sync.tree import Binding, Pin, Tree

Asked = TypeVar("Asked")
Found = TypeVar("Found")

_ATTEMPTS = 3
# Calls at a time.
_THREADS = 8


class _AppliedMeanwhileError(Exception):
    pass


def read_live(session: Session, tree: Tree, source: SourceId) -> Live:
    """Read what a plan of the tree needs. Raises CliError, also if others apply to its applications all the time."""
    wanted = set(tree.applications)
    with progress("reading") as advance, ThreadPoolExecutor(_THREADS) as threads:
        for _ in range(_ATTEMPTS):
            try:
                return _Reader(session, threads, advance).read(
                    wanted, source, schemas=set(tree.schemas), bindings=_with_bindings(tree)
                )
            except _AppliedMeanwhileError:
                continue
    raise CliError(
        "the sources of these applications change while they are read", ExitCode.CONFLICT, hint="Run it again."
    )


def read_sources(session: Session, application: str | None = None) -> "list[pb.Source]":
    """Return the sources that the caller may read. Raises CliError."""
    calls = session.connection
    request = pb.ListSourcesRequest(application=pb.ApplicationRef(name=application) if application else None)
    return pages(lambda page: calls.call(calls.sources.ListSources, page), request, "sources")


def read_schema(session: Session, name: str) -> LiveSchema:
    """Return the newest version of a stored schema. Raises CliError."""
    calls = session.connection
    request = pb.GetSchemaVersionRequest(name=name, latest=True, format=pb.CONTENT_FORMAT_JSON)
    found = calls.call(calls.schemas.GetSchemaVersion, request).schema_version
    return LiveSchema(name=name, version=found.version, document=parse_json(found.document_json))


def _with_bindings(tree: Tree) -> set[str]:
    return {folder.name for folder in tree.applications.values() if folder.bindings is not None}


class _Reader:
    """One attempt to read everything. Sources are no part of the history: their etags tell that they stayed."""

    def __init__(
        self, session: Session, threads: ThreadPoolExecutor, advance: Callable[[int, int | None], None]
    ) -> None:
        self._session = session
        self._calls = session.connection
        self._threads = threads
        self._advance = advance
        self._moment: dict[str, Any] = {}
        self._done = 0

    def read(self, wanted: set[str], source: SourceId, *, schemas: set[str], bindings: set[str]) -> Live:
        owners = {one.application_id: one for one in read_sources(self._session)}
        # Everything else is read as of the same revision.
        listed, revision, epoch = self._applications()
        self._moment = {"as_of_revision": revision, "epoch": epoch}
        ours = [
            one for one in listed if one.name in wanted or (one.id in owners and source_of(owners[one.id]) == source)
        ]
        applications = {one.name: self._application(one, owners.get(one.id), one.name in bindings) for one in ours}
        configurations = {one.id: one for many in self._each(self._configurations, ours) for one in many}
        owned = [(one, owners[one.id]) for one in ours if one.id in owners and source_of(owners[one.id]) == source]
        marks = {one.id: one for many in self._each(self._marks, owned) for one in many}
        completed = self._each(lambda mark: self._with_applied(mark, configurations), marks.values())
        return Live(
            epoch=epoch,
            revision=revision,
            applications=applications,
            configurations=configurations,
            schemas=self._schemas(schemas),
            marks={mark.id: mark for mark in completed},
        )

    def _each(self, read: Callable[[Asked], Found], asked: Iterable[Asked]) -> Sequence[Found]:
        """Return the answers to many questions, in their order. Raises the first error."""

        def counted(one: Asked) -> Found:
            found = read(one)
            self._done += 1
            self._advance(self._done, None)
            return found

        return list(self._threads.map(counted, asked))

    def _applications(self) -> "tuple[list[pb.Application], int, str]":
        answers: list[Any] = []

        def page(request: Any) -> Any:
            answers.append(self._calls.call(self._calls.applications.ListApplications, request))
            return answers[-1]

        found = pages(page, pb.ListApplicationsRequest(latest=True), "applications")
        return found, answers[0].revision, answers[0].epoch

    def _application(self, one: "pb.Application", owner: "pb.Source | None", with_bindings: bool) -> LiveApplication:
        return LiveApplication(
            id=one.id,
            name=one.name,
            comments=one.comments,
            owner=source_of(owner) if owner is not None else None,
            etag=owner.etag if owner is not None else "",
            bindings=self._bindings(one) if with_bindings else None,
        )

    def _bindings(self, application: "pb.Application") -> tuple[LiveBinding, ...]:
        request = pb.ListRoleBindingsRequest(application=pb.ApplicationRef(id=application.id), latest=True)
        found = pages(
            lambda page: self._calls.call(self._calls.access.ListRoleBindings, page), request, "role_bindings"
        )
        return tuple(
            LiveBinding(id=one.id, binding=Binding(principal=one.principal, role=word(pb.Role.Name(one.role))))
            for one in found
        )

    def _configurations(self, application: "pb.Application") -> list[LiveConfiguration]:
        request = pb.ListConfigurationsRequest(
            selector=pb.ConfigurationSelector(application=pb.ApplicationRef(id=application.id)),
            view=pb.CONFIGURATION_VIEW_FULL,
            format=pb.CONTENT_FORMAT_JSON,
            **self._moment,
        )
        found = pages(
            lambda page: self._calls.call(self._calls.configurations.ListConfigurations, page),
            request,
            "configurations",
        )
        return [live_of(one) for one in found]

    def _marks(self, owned: "tuple[pb.Application, pb.Source]") -> list[Mark]:
        application, source = owned
        request = pb.ListAppliedConfigurationsRequest(application=pb.ApplicationRef(id=application.id))

        def page(request: Any) -> Any:
            answer = self._calls.call(self._calls.sources.ListAppliedConfigurations, request)
            if answer.source_etag != source.etag:
                raise _AppliedMeanwhileError
            return answer

        return [
            Mark(id=one.id, application=application.name, name=one.name, version=one.version)
            for one in pages(page, request, "applied_configurations")
        ]

    def _with_applied(self, mark: Mark, configurations: dict[str, LiveConfiguration]) -> Mark:
        live = configurations.get(mark.id)
        if live is None:
            return mark
        applied = live if live.version == mark.version else self._version(mark)
        return Mark(id=mark.id, application=mark.application, name=mark.name, version=mark.version, applied=applied)

    def _version(self, mark: Mark) -> LiveConfiguration | None:
        request = pb.GetConfigurationRequest(id=mark.id, version=mark.version, format=pb.CONTENT_FORMAT_JSON)
        try:
            return live_of(self._calls.call(self._calls.configurations.GetConfiguration, request).configuration)
        except CliError as error:
            # A version that is no longer kept.
            if error.reason not in {"REVISION_COMPACTED", "RESOURCE_NOT_FOUND"}:
                raise
            return None

    def _schemas(self, wanted: set[str]) -> dict[str, LiveSchema]:
        """Return the newest versions of all schemas; with documents, those that are wanted."""
        request = pb.ListSchemasRequest(**self._moment)
        listed = pages(lambda page: self._calls.call(self._calls.schemas.ListSchemas, page), request, "schemas")
        documents = dict(self._each(self._document, [one for one in listed if one.name in wanted]))
        return {
            one.name: LiveSchema(name=one.name, version=one.latest_version, document=documents.get(one.name))
            for one in listed
        }

    def _document(self, schema: "pb.Schema") -> tuple[str, Any]:
        request = pb.GetSchemaVersionRequest(id=schema.id, version=schema.latest_version, format=pb.CONTENT_FORMAT_JSON)
        found = self._calls.call(self._calls.schemas.GetSchemaVersion, request).schema_version
        return schema.name, parse_json(found.document_json)


def live_of(one: "pb.Configuration") -> LiveConfiguration:
    """Return a configuration of the service, with its content."""
    return LiveConfiguration(
        id=one.id,
        application=one.application,
        name=one.name,
        version=one.version,
        config=parse_json(one.config_json),
        schema=pin_of(one),
        comments=one.comments,
        updated_by=one.updated_by,
    )


def pin_of(one: "pb.Configuration | pb.ConfigurationItem") -> Pin | None:
    """Return the schema version that a configuration of the service is pinned to; None if it has none."""
    return Pin(schema=one.schema.schema, version=one.schema.version) if one.HasField("schema") else None


def source_of(source: "pb.Source") -> SourceId:
    return SourceId(repository=source.repository, path=source.path)
