"""The account that the server runs under. PostgreSQL refuses to run as root, so root uses another user."""

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from configsvc.embedded.errors import EmbeddedPostgresError

log = structlog.get_logger()

OWN_USER = "configsvc-postgres"
# Debian and Red Hat have useradd, Alpine has busybox's adduser.
MAKE_USER = (
    ("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", OWN_USER),
    ("adduser", "-S", "-D", "-H", "-s", "/sbin/nologin", OWN_USER),
)

# A separate interpreter switches the user: uvloop cannot, and forking beside gRPC's threads is unsafe.
BECOME = """
import os, sys
user, group = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([])
os.setgid(group)
os.setuid(user)
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An unprivileged system user."""

    user: int
    group: int

    def command(self, command: Sequence[str]) -> list[str]:
        """Return a command line that runs `command` under this account."""
        return [sys.executable, "-I", "-S", "-c", BECOME, str(self.user), str(self.group), *command]

    def own(self, path: Path) -> None:
        """Make the account the owner of a file or folder."""
        os.chown(path, self.user, self.group)

    def open_way(self, path: Path) -> None:
        """Let the account reach a folder: add the search bit where it is missing, and no other permission."""
        for folder in reversed((path, *path.parents)):
            mode = folder.stat().st_mode
            if not self._allowed(folder, search=True):
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
                log.warning("folder made passable for the embedded PostgreSQL", folder=str(folder), mode="o+x")

    def require_readable(self, program: Path) -> None:
        """Raise EmbeddedPostgresError if the account may not read and run a program."""
        if not self._allowed(program, search=False):
            raise EmbeddedPostgresError(
                f"the user {_name(self.user)}, which runs PostgreSQL instead of root, cannot read {program}: "
                "install the packages again with `umask 022`"
            )

    def _allowed(self, path: Path, *, search: bool) -> bool:
        status = path.stat()
        bits = stat.S_IMODE(status.st_mode)
        needed = 0o1 if search else 0o5
        if status.st_uid == self.user:
            return bits >> 6 & needed == needed
        if status.st_gid == self.group:
            return bits >> 3 & needed == needed
        return bits & needed == needed


def choose_account(data: Path) -> Account | None:
    """Return the account to run the server under: the owner of existing data. None: that of this process."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(user=data.stat().st_uid, group=data.stat().st_gid)
    entry = _find("postgres") or _find(OWN_USER) or _make() or _nobody()
    return Account(user=entry.pw_uid, group=entry.pw_gid)


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _make() -> pwd.struct_passwd | None:
    for command in MAKE_USER:
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            continue
        log.warning("created a system user for the embedded PostgreSQL", user=OWN_USER)
        return _find(OWN_USER)
    return None


def _nobody() -> pwd.struct_passwd:
    entry = _find("nobody")
    if entry is None:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root, and there is no user to run it as: create one with "
            f"`useradd --system {OWN_USER}`, start configsvc as another user, or set CONFIGSVC_DATABASE_URL"
        )
    log.warning("the embedded PostgreSQL runs as nobody: creating a user for it failed", user=OWN_USER)
    return entry


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
