"""The permission that each method requires, as its proto declares it."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor

from configapi.v1.method_rules_pb2 import (
    PERMISSION_ADMIN,
    PERMISSION_APPLICATION_ADMIN,
    PERMISSION_AUTHENTICATED,
    PERMISSION_EDITOR,
    PERMISSION_MEMBER,
    PERMISSION_OPERATION_OWNER,
    PERMISSION_VIEWER,
    Permission,
    rules,
)
from configsvc.access.caller import Caller
from configsvc.domain.access import Role
from configsvc.domain.errors import PermissionDeniedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """The least role that a call needs: for all applications, or for at least one.

    The resources of a request are checked later, where they are known.
    """

    role: Role
    everywhere: bool = False

    def check(self, caller: Caller) -> None:
        """Check the role of the caller. Raises PermissionDeniedError."""
        access = caller.access
        if (access.everywhere if self.everywhere else access.highest) < self.role:
            where = "all applications" if self.everywhere else "an application"
            raise PermissionDeniedError(f"the role {self.role.name.lower()} is needed for {where}")


_NEEDED: dict[Permission.ValueType, Needed] = {
    PERMISSION_AUTHENTICATED: Needed(role=Role.NONE),
    PERMISSION_MEMBER: Needed(role=Role.VIEWER),
    PERMISSION_VIEWER: Needed(role=Role.VIEWER),
    PERMISSION_EDITOR: Needed(role=Role.EDITOR),
    PERMISSION_APPLICATION_ADMIN: Needed(role=Role.ADMIN),
    PERMISSION_ADMIN: Needed(role=Role.ADMIN, everywhere=True),
    PERMISSION_OPERATION_OWNER: Needed(role=Role.NONE),
}

# Protos that are not ours cannot declare it.
DECLARED_FOR_OTHERS: Mapping[str, Permission.ValueType] = {
    "google.longrunning.Operations.ListOperations": PERMISSION_OPERATION_OWNER,
    "google.longrunning.Operations.GetOperation": PERMISSION_OPERATION_OWNER,
    "google.longrunning.Operations.DeleteOperation": PERMISSION_OPERATION_OWNER,
    "google.longrunning.Operations.CancelOperation": PERMISSION_OPERATION_OWNER,
    "google.longrunning.Operations.WaitOperation": PERMISSION_OPERATION_OWNER,
}


def needed_for(method: MethodDescriptor) -> Needed:
    """Return what the method requires. Raises KeyError if nothing is declared."""
    declared = DECLARED_FOR_OTHERS.get(method.full_name) or method.GetOptions().Extensions[rules].permission
    return _NEEDED[declared]
