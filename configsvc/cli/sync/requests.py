"""The requests that a plan is applied with. Those of the same plan are the same, so that none is made twice."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

from configsvc.cli import pb
from configsvc.cli.documents import Json, compact_json
from configsvc.cli.session import Session
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.plans import ApplicationPlan, Change, Kind, Plan, SchemaChange
from configsvc.cli.sync.state import LiveConfiguration
from configsvc.cli.sync.tree import ConfigurationFile, Pin

# A message has at most 4 MiB. The rest of the message needs some of it.
MAX_BYTES = 4 * 1024 * 1024 - 64 * 1024
MAX_WRITES = 1000
MAX_REASON = 1024
MAX_CHANGE_REQUEST = 256

_NAMESPACE = UUID("8f7ad2c5-51a5-4f0e-9d3b-5f0f7a2f6b61")
_REFERENCE = re.compile(r"configsvc://schemas/([A-Za-z0-9][A-Za-z0-9._-]*)@[1-9]")


def origin_of(session: Session, commit: Commit) -> dict[str, Any]:
    """Return the fields of requests that say where changes come from: the commit, with its author and subject, unless
    options say otherwise.
    """
    author = f" ({commit.author})" if commit.author else ""
    subject = _printable(commit.subject)[: MAX_REASON - len(author)]
    reason = session.reason or f"{subject}{author}".strip()
    return {
        "reason": _printable(reason)[:MAX_REASON],
        "change_request": session.change_request or commit.commit[:MAX_CHANGE_REQUEST],
    }


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def request_id(plan: Plan, request: Any) -> str:
    """Return an id that is always the same for this request of this plan. The revision tells it from an equal request
    of a later plan, which is another change; what makes no commit leaves the revision as it is, and gets a random id.
    """
    if isinstance(request, pb.ReleaseSourceRequest) or (
        isinstance(request, pb.ApplySourceRequest) and not request.writes
    ):
        return str(uuid4())
    text = request.SerializeToString(deterministic=True)
    digest = hashlib.sha256(text).hexdigest()
    return str(uuid5(_NAMESPACE, f"{plan.epoch}:{plan.revision}:{request.DESCRIPTOR.name}:{digest}"))


# Schemas


def schema_parts(changes: Iterable[SchemaChange]) -> "Iterator[list[pb.ImportedSchema]]":
    """Yield the schemas of each call: one, if they fit. What others refer to comes first."""
    part: list[pb.ImportedSchema] = []
    size = 0
    for change in _in_order(changes):
        schema = pb.ImportedSchema(name=change.file.name, document_json=compact_json(change.file.document))
        if part and (size + schema.ByteSize() > MAX_BYTES or len(part) == MAX_WRITES):
            yield part
            part, size = [], 0
        part.append(schema)
        size += schema.ByteSize() + 8
    if part:
        yield part


def _in_order(changes: Iterable[SchemaChange]) -> Iterator[SchemaChange]:
    open_changes = {change.file.name: change for change in changes}

    def visit(name: str) -> Iterator[SchemaChange]:
        change = open_changes.pop(name, None)
        if change is not None:
            for reference in references_of(change.file.document):
                yield from visit(reference)
            yield change

    for name in list(open_changes):
        yield from visit(name)


def references_of(document: Json) -> list[str]:
    """Return the names of the schemas that a document, or its text, refers to."""
    return _REFERENCE.findall(document if isinstance(document, str) else compact_json(document))


# Configurations


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one commit of an application has."""

    writes: "list[pb.ConfigurationWrite]"
    released_ids: list[str]


def parts_of(plan: ApplicationPlan, application_id: str) -> list[Part]:
    """Return the parts of an application: one, if it fits. Names are given up before they are taken."""
    starts = range(0, max(len(plan.dropped), 1), MAX_WRITES)
    parts = [Part(writes=[], released_ids=plan.dropped[start : start + MAX_WRITES]) for start in starts]
    size = 0
    for write in _writes(plan, application_id):
        bytes_of_write = write.ByteSize() + 8
        if len(parts[-1].writes) == MAX_WRITES or (parts[-1].writes and size + bytes_of_write > MAX_BYTES):
            parts.append(Part(writes=[], released_ids=[]))
            size = 0
        parts[-1].writes.append(write)
        size += bytes_of_write
    return parts


def _writes(plan: ApplicationPlan, application_id: str) -> "Iterator[pb.ConfigurationWrite]":
    for kind in (Kind.DELETE, Kind.RENAME, Kind.UPDATE, Kind.CREATE):
        for change in plan.changes:
            if change.kind is kind:
                yield _write(change, application_id)
    yield from map(marking, plan.refreshed)


def names_of(plan: ApplicationPlan, writes: "Iterable[pb.ConfigurationWrite]") -> list[str]:
    """Return the names of the configurations that are written."""
    existing = {one.id: one.name for one in plan.refreshed}
    existing |= {change.live.id: change.name for change in plan.changes if change.live}
    return [write.create.name or existing[write.update.id or write.deletion.id] for write in writes]


def _write(change: Change, application_id: str) -> "pb.ConfigurationWrite":
    live, file = change.live, change.file
    if file is None:
        assert live is not None
        return pb.ConfigurationWrite(deletion=pb.ConfigurationDeletionItem(id=live.id, expected_version=live.version))
    if live is None:
        return pb.ConfigurationWrite(create=_creation(file, change.pin, application_id))
    return pb.ConfigurationWrite(update=_update(change, file, live))


def _creation(file: ConfigurationFile, pin: Pin | None, application_id: str) -> "pb.ConfigurationItem":
    return pb.ConfigurationItem(
        application=pb.ApplicationRef(id=application_id),
        name=file.name,
        comments=file.comments or "",
        config_json=compact_json(file.config),
        schema=schema_ref(pin),
    )


def _update(change: Change, file: ConfigurationFile, live: LiveConfiguration) -> "pb.ConfigurationChangeItem":
    values: dict[str, Any] = {
        "name": {"name": file.name},
        "config": {"config_json": compact_json(file.config)},
        "schema": {"schema": schema_ref(change.pin)},
        "comments": {"comments": file.comments},
    }
    fields = {name: value for field in change.fields for name, value in values[field].items()}
    return pb.ConfigurationChangeItem(
        id=live.id,
        configuration=pb.Configuration(**fields),
        update_mask=pb.FieldMask(paths=list(change.fields)),
        expected_version=live.version,
    )


def schema_ref(pin: Pin | None) -> "pb.SchemaVersionRef | None":
    """Return a reference to a version of a schema."""
    return pb.SchemaVersionRef(schema=pin.schema, version=pin.version or 0) if pin else None


def marking(live: LiveConfiguration) -> "pb.ConfigurationWrite":
    """Return a write that changes nothing, and marks the configuration with its version."""
    return pb.ConfigurationWrite(
        update=pb.ConfigurationChangeItem(
            id=live.id,
            configuration=pb.Configuration(comments=live.comments),
            update_mask=pb.FieldMask(paths=["comments"]),
            expected_version=live.version,
        )
    )
