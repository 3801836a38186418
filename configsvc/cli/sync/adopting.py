"""Adoption: what exists becomes this source's, as it is; and release, which undoes it."""

from dataclasses import dataclass, replace

from configsvc.cli import pb
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.session import Session
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.matching import pairs_of
from configsvc.cli.sync.planning import plan
from configsvc.cli.sync.plans import Change, Kind, Plan, PlanOptions
from configsvc.cli.sync.requests import MAX_WRITES, marking, origin_of
from configsvc.cli.sync.state import Live, LiveApplication, LiveConfiguration, Mark, SourceId
from configsvc.cli.sync.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """The configurations of an application that the source takes. `others` are those that the tree does not have."""

    application: LiveApplication
    taken: tuple[LiveConfiguration, ...]
    others: int


def adoptions(tree: Tree, live: Live, source: SourceId) -> list[Adoption]:
    """Return what a source can adopt: the configurations of its tree that exist without its mark. Raises CliError if an
    application belongs to another source.
    """
    found: list[Adoption] = []
    for name, folder in sorted(tree.applications.items()):
        application = live.applications.get(name)
        if application is None:
            continue
        if application.owner not in {None, source}:
            raise CliError(
                f"the application {name} belongs to another source: {application.owner}",
                ExitCode.CONFLICT,
                hint="`configsvc sync release` gives it up there.",
            )
        matched = pairs_of(name, folder.configurations, live)
        taken = tuple(pair.live for pair in matched.pairs if pair.live is not None and pair.mark is None)
        if taken or application.owner is None:
            others = sum(one.id not in live.marks for one in matched.without_file)
            found.append(Adoption(application=application, taken=taken, others=others))
    return found


def plan_after(tree: Tree, live: Live, source: SourceId, found: list[Adoption]) -> Plan:
    """Return the plan that follows an adoption: its updates are what differs now."""
    applications = dict(live.applications)
    marks = dict(live.marks)
    for adoption in found:
        one = adoption.application
        applications[one.name] = replace(one, owner=source)
        for taken in adoption.taken:
            marks[taken.id] = Mark(
                id=taken.id, application=one.name, name=taken.name, version=taken.version, applied=taken
            )
    return plan(tree, replace(live, applications=applications, marks=marks), source, PlanOptions())


def differing(made: Plan, found: list[Adoption]) -> list[Change]:
    """Return the changes of a plan to what is adopted."""
    taken = {one.id for adoption in found for one in adoption.taken}
    return [
        change for change in made.changes if change.kind is not Kind.CREATE and change.live and change.live.id in taken
    ]


def adopt(session: Session, found: list[Adoption], commit: Commit) -> None:
    """Mark what is adopted with its present version. Raises CliError."""
    for adoption in found:
        etag = adoption.application.etag
        for start in range(0, max(len(adoption.taken), 1), MAX_WRITES):
            request = pb.ApplySourceRequest(
                application=pb.ApplicationRef(id=adoption.application.id),
                source=pb.SourceRevision(repository=commit.repository, path=commit.path, commit=commit.commit),
                expected_etag=etag,
                adopt=True,
                writes=map(marking, adoption.taken[start : start + MAX_WRITES]),
                **session.change() | origin_of(session, commit),
            )
            calls = session.connection
            answer = calls.call(calls.sources.ApplySource, request)
            etag = etag if session.dry_run else answer.source.etag


def release(session: Session, sources: "list[pb.Source]") -> None:
    """Give up applications. Raises CliError."""
    calls = session.connection
    for source in sources:
        request = pb.ReleaseSourceRequest(
            application=pb.ApplicationRef(id=source.application_id),
            expected_etag=source.etag,
            request_id=session.change()["request_id"],
            validate_only=session.dry_run,
        )
        calls.call(calls.sources.ReleaseSource, request)
