"""Refusals of the service while a plan is applied, in the words of who applies it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.output import counted
from configsvc.cli.sync.plans import ApplicationPlan
from configsvc.cli.sync.requests import names_of

if TYPE_CHECKING:
    from configsvc.cli import pb

# Reasons that every further call would have, too.
_OF_EVERY_CALL = frozenset({"EPOCH_CHANGED", "INTERNAL", "UNAUTHENTICATED", "UNSUPPORTED_FIELD"})
# The field of a fault, up to the path in the content, or up to another field of the configuration.
_WRITE = re.compile(r"writes\[(\d+)\](?:\.config(?=[/:]))?")


def is_of_one_application(error: CliError) -> bool:
    """Return true if the service refuses a call for a reason that others need not have."""
    return bool(error.reason) and error.code is not ExitCode.UNAVAILABLE and error.reason not in _OF_EVERY_CALL


def outcomes(refused: Mapping[str, CliError], applied: int, total: int) -> list[str]:
    """Return lines about the applications so far: those refused, by name, and the number of those applied."""
    lines = [f"{name}: {_shown(error)}" for name, error in refused.items()]
    return [*lines, f"applied {applied} of {counted(total, 'application')}"] if applied or refused else []


def partly_refused(refused: Mapping[str, CliError], total: int) -> CliError:
    """Return the error at the end: that of the only application, or all of them."""
    first = next(iter(refused.values()))
    if total == 1:
        return first
    details: list[str] = []
    for name, error in refused.items():
        details += (f"{name}: {_shown(error)}", *(f"  {detail}" for detail in error.details))
    hints = dict.fromkeys(error.hint for error in refused.values() if error.hint)
    return CliError(
        f"{len(refused)} of {counted(total, 'application')} refused; {total - len(refused)} applied",
        first.code,
        details=details,
        hint=" ".join(("Run it again for those that are refused.", *hints)),
        reason=first.reason,
    )


def _shown(error: CliError) -> str:
    return f"{error.text} ({error.reason})"


def named(error: CliError, plan: ApplicationPlan, request: "pb.ApplySourceRequest") -> CliError:
    """Return an error in the user's words: the service knows the request alone, and counts its writes."""
    match error.reason:
        case "PRECONDITION_FAILED":
            text = f"the application {plan.name} changed since the plan was made"
            return replace(error, text=text, hint="Make a new plan, which starts from what is there now.")
        case "BATCH_FAILED":
            names = names_of(plan, request.writes)
            details = [_with_key(detail, plan.name, names) for detail in error.details]
            return replace(error, text=f"the application {plan.name}: {error.text}", details=details)
        case _:
            return error


def _with_key(detail: str, application: str, names: list[str]) -> str:
    found = _WRITE.match(detail)
    return f"{application}/{names[int(found[1])]}: {detail[found.end() :].lstrip(':. ')}" if found else detail
