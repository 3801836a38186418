"""The rules of methods, as their options declare them."""

from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import MethodDescriptor

from configapi.v1.method_rules_pb2 import Permission, Stability, rules
from configsvc.api.permissions import DECLARED_FOR_OTHERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a method, in words."""

    permission: str
    since: str
    stability: str


def rules_of(method: MethodDescriptor) -> Rules:
    """Return the rules of a method; those of google.longrunning are as old as this service, and as stable."""
    declared = cast("Any", method.GetOptions()).Extensions[rules]
    permission = DECLARED_FOR_OTHERS.get(method.full_name) or declared.permission
    return Rules(
        permission=Permission.Name(permission).removeprefix("PERMISSION_"),
        since=declared.since or "1.0",
        stability=(Stability.Name(declared.stability) if declared.stability else "STABILITY_STABLE")
        .removeprefix("STABILITY_")
        .lower(),
    )
