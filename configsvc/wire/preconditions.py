"""Preconditions of a batch. Each function adds the faults that it finds."""

from configapi.v1.selector_pb2 import Precondition as PreconditionMessage
from configsvc.domain.errors import Violations
from configsvc.domain.preconditions import Precondition
from configsvc.domain.scope import Scope
from configsvc.wire.moments import epoch
from configsvc.wire.selectors import name_selector
from configsvc.wire.writes import AnyBatch

MAX_PRECONDITIONS = 100
# Of all preconditions: others wait for the last check.
MAX_PRECONDITION_NAMES = 1000


def preconditions(request: AnyBatch, scope: Scope, violations: Violations) -> tuple[Precondition, ...]:
    """Return the preconditions of a batch, which see the configurations in the scope."""
    given = request.preconditions
    if len(given) > MAX_PRECONDITIONS:
        violations.add("preconditions", f"has {len(given)} items: at most {MAX_PRECONDITIONS} are allowed")
        return ()
    names = sum(len(message.selector.names) for message in given)
    if names > MAX_PRECONDITION_NAMES:
        violations.add("preconditions", f"has {names} names in all: at most {MAX_PRECONDITION_NAMES} are allowed")
        return ()
    return tuple(
        _precondition(message, f"preconditions[{index}]", scope, violations) for index, message in enumerate(given)
    )


def _precondition(message: PreconditionMessage, field: str, scope: Scope, violations: Violations) -> Precondition:
    path = f"{field}.selector"
    if not message.HasField("selector"):
        violations.add(path, "is required; it may be empty, which selects all configurations")
    if message.unchanged_since < 1:
        violations.add(f"{field}.unchanged_since", f"is {message.unchanged_since}: must be a revision, from 1")
    selector = name_selector(message.selector, path, "a precondition", violations)
    return Precondition(
        application=selector.application,
        name_prefix=selector.name_prefix,
        names=selector.names,
        unchanged_since=message.unchanged_since,
        epoch=epoch(message.epoch, violations, field=f"{field}.epoch"),
        scope=scope,
    )
