"""Plans for people, and as documents for programs."""

from collections.abc import Iterator
from typing import Any

from configsvc.cli.documents import Json
from configsvc.cli.output import Format, counted, paint, safe, write
from configsvc.cli.session import Session
from configsvc.cli.sync.adopting import Adoption
from configsvc.cli.sync.plans import ApplicationPlan, Change, Drift, Kind, Plan, SchemaChange
from configsvc.cli.sync.state import LiveBinding
from configsvc.cli.sync.tree import Pin

FORMAT_VERSION = 1
_SIGNS = {Kind.CREATE: "+", Kind.UPDATE: "~", Kind.RENAME: "-/+", Kind.DELETE: "-"}
_VERBS = {Kind.CREATE: "create", Kind.UPDATE: "update in place", Kind.RENAME: "rename", Kind.DELETE: "delete"}
_STYLES = {"+": "added", "-": "removed", "~": "changed", "-/+": "changed", "!": "error"}


def print_plan(session: Session, plan: Plan) -> None:
    """Print a plan in the format of -o."""
    match session.output or Format.TABLE:
        case Format.TABLE:
            for line in lines_of(plan):
                write(_painted(line))
        case Format.NAME:
            for change in plan.changes:
                write(safe(f"{change.application}/{change.name}"))
        case _:
            session.print_value(document_of(plan))


def _painted(line: str) -> str:
    style = _STYLES.get(line.lstrip().partition(" ")[0])
    return paint(safe(line), style) if style else safe(line)


def lines_of(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan."""
    for change in plan.schemas:
        yield from _schema_lines(change)
    for application in plan.applications:
        yield from _application_lines(application)
    if not (plan.changed or plan.drifts or plan.problems or any(one.left for one in plan.applications)):
        yield "No changes: the service is what the files say."
    yield _summary(plan)


def _summary(plan: Plan) -> str:
    """Return the counts of a plan, as a line."""
    counts = ", ".join(
        f"{plan.count(kind)} to {verb}"
        for kind, verb in ((Kind.CREATE, "create"), (Kind.UPDATE, "change"), (Kind.RENAME, "rename"))
    )
    schemas = f" Schemas: {len(plan.schemas)}." if plan.schemas else ""
    return f"Plan: {counts}, {plan.count(Kind.DELETE)} to delete.{schemas}"


def _schema_lines(change: SchemaChange) -> Iterator[str]:
    if change.live is None:
        yield f"+ schema {change.file.name}: create"
        return
    yield f"~ schema {change.file.name}: version {change.live.version} → {change.version}"
    for difference in change.differences:
        yield f"    {difference.line}"


def _application_lines(plan: ApplicationPlan) -> Iterator[str]:
    yield from _owner_lines(plan)
    for change in plan.changes:
        yield from _change_lines(change)
    yield from _binding_lines(plan)
    for drift in plan.drifts:
        yield f"! {plan.name}/{drift.name}: {drift.text}{_drift_end(plan, drift)}"
    for name in plan.left:
        yield f"  {plan.name}/{name}: no longer in the files; --prune deletes it"
    if plan.unmanaged:
        yield f"  {plan.name}: {counted(plan.unmanaged, 'configuration')} not applied by any source: left alone"
    if plan.deletes:
        yield f"- application {plan.name}: delete"
    if plan.releases:
        yield f"- application {plan.name}: this source gives it up"


def _owner_lines(plan: ApplicationPlan) -> Iterator[str]:
    if plan.live is None:
        yield f"+ application {plan.name}: create"
        return
    if plan.claims:
        yield f"~ application {plan.name}: this source becomes its owner"
    if plan.comments is not None:
        yield f"~ application {plan.name}: comments {_text(plan.live.comments)} → {_text(plan.comments)}"


def _binding_lines(plan: ApplicationPlan) -> Iterator[str]:
    for binding in plan.new_bindings:
        yield f"+ {plan.name}: {binding.principal} becomes {binding.role}"
    for removed in plan.removed_bindings:
        yield f"- {plan.name}: {removed.binding.principal} is no longer {removed.binding.role}"
    for extra in plan.extra_bindings:
        yield f"  {plan.name}: {extra.binding.principal} is {extra.binding.role} by hand; --prune removes it"


def adoption_lines(found: list[Adoption], differing: list[Change]) -> Iterator[str]:
    """Yield the lines of an adoption."""
    for adoption in found:
        others = f"; {adoption.others} not in the files: left alone" if adoption.others else ""
        yield f"{adoption.application.name}: adopts {counted(len(adoption.taken), 'configuration')}{others}"
        for change in differing:
            if change.application == adoption.application.name:
                yield from _change_lines(change)


def _drift_end(plan: ApplicationPlan, drift: Drift) -> str:
    reverted = any(change.reverts_drift and _name_before(change) == drift.name for change in plan.changes)
    return "; it is undone" if reverted else ""


def _name_before(change: Change) -> str:
    return change.live.name if change.live else change.name


def _change_lines(change: Change) -> Iterator[str]:
    key = f"{change.application}/{change.name}"
    where = f"{change.application}/{_name_before(change)} → {key}" if change.kind is Kind.RENAME else key
    pinned = f" ({_pin_text(change.pin)})" if change.kind is Kind.CREATE and change.pin else ""
    yield f"{_SIGNS[change.kind]} {where}: {_VERBS[change.kind]}{pinned}"
    for difference in change.differences:
        yield f"    {difference.line}"
    if change.live is None or change.file is None:
        return
    if "schema" in change.fields:
        yield f"    ~ schema: {_pin_text(change.live.schema)} → {_pin_text(change.pin)}"
    if "comments" in change.fields:
        yield f"    ~ comments: {_text(change.live.comments)} → {_text(change.file.comments or '')}"


def _pin_text(pin: Pin | None) -> str:
    return f"{pin.schema}@{pin.version}" if pin else "none"


def _text(text: str) -> str:
    return f'"{text}"'


# Documents


def document_of(plan: Plan) -> dict[str, Json]:
    """Return a plan as a document: docs/guide/git.md describes it."""
    return {
        "format": FORMAT_VERSION,
        "source": {"repository": plan.source.repository, "path": plan.source.path},
        "epoch": plan.epoch,
        "revision": plan.revision,
        "summary": {
            **{kind.value: plan.count(kind) for kind in Kind},
            "schemas": len(plan.schemas),
            "drift": len(plan.drifts),
            "left": sum(len(application.left) for application in plan.applications),
            "unmanaged": sum(application.unmanaged for application in plan.applications),
        },
        "schemas": [_plain_schema(change) for change in plan.schemas],
        "applications": [_plain_application(application) for application in plan.applications],
        "changes": [_plain_change(change) for change in plan.changes],
        "drift": [_plain_drift(drift) for drift in plan.drifts],
        "problems": [{"text": problem.text, "hint": problem.hint} for problem in plan.problems],
    }


def _plain_schema(change: SchemaChange) -> dict[str, Json]:
    return {
        "action": "update" if change.live else "create",
        "name": change.file.name,
        "version": change.version,
        "patch": [difference.plain for difference in change.differences],
    }


def _plain_application(plan: ApplicationPlan) -> dict[str, Json]:
    return {
        "action": _application_action(plan),
        "name": plan.name,
        "comments": plan.comments,
        "new_bindings": [{"principal": one.principal, "role": one.role} for one in plan.new_bindings],
        "removed_bindings": [_plain_binding(one) for one in plan.removed_bindings],
        "extra_bindings": [_plain_binding(one) for one in plan.extra_bindings],
        "left": list(plan.left),
        "unmanaged": plan.unmanaged,
    }


def _application_action(plan: ApplicationPlan) -> str:
    if plan.creates:
        return "create"
    if plan.deletes:
        return "delete"
    if plan.releases:
        return "release"
    return "update" if plan.changed or plan.claims else "none"


def _plain_binding(one: LiveBinding) -> dict[str, Json]:
    return {"id": one.id, "principal": one.binding.principal, "role": one.binding.role}


def _plain_change(change: Change) -> dict[str, Json]:
    live, file = change.live, change.file
    plain: dict[str, Json] = {
        "action": change.kind.value,
        "application": change.application,
        "name": change.name,
        "id": live.id if live else None,
        "previous_name": live.name if live and live.name != change.name else None,
        "version": live.version if live else None,
        "fields": list(change.fields),
        "reverts_drift": change.reverts_drift,
        "path": str(file.path) if file else None,
    }
    if file is None:
        return plain
    if live is None:
        plain["config"] = file.config
    else:
        plain["patch"] = [difference.plain for difference in change.differences]
    if live is None or "schema" in change.fields:
        plain["schema"] = _plain_pin(change.pin)
    if file.comments is not None and (live is None or "comments" in change.fields):
        plain["comments"] = file.comments
    return plain


def _plain_pin(pin: Pin | None) -> Any:
    return {"schema": pin.schema, "version": pin.version} if pin else None


def _plain_drift(drift: Drift) -> dict[str, Json]:
    return {
        "application": drift.application,
        "name": drift.name,
        "text": drift.text,
        "id": drift.live.id if drift.live else None,
        "version": drift.live.version if drift.live else None,
        "path": str(drift.file.path) if drift.file else None,
    }
