"""A program that is started by posix_spawn, which runs no code in a copy of this process: gRPC has threads that a copy
would not have.
"""

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from configsvc.cli.signals import IGNORED_BY_PYTHON

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_LAST_STANDARD = 2


class StartError(Exception):
    """The program cannot be started; `code` is the exit code of a shell then."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Program:
    """A program, which runs once at a time."""

    def __init__(
        self, arguments: Sequence[str], *, mask: Iterable[int], descriptors: frozenset[int], has_own_group: bool
    ) -> None:
        self.name = arguments[0]
        # All its processes can be killed. On a terminal, it stays in the group that the terminal serves.
        self.has_own_group = has_own_group
        self._arguments = tuple(arguments)
        # Of signals, before this process blocked them.
        self._mask = mask
        # Those that are for the program. No others remain open in it.
        self._descriptors = descriptors
        self._pid = 0

    def start(self, variables: Mapping[bytes, bytes]) -> None:
        """Start it. Raises StartError."""
        _close_on_exec(self._descriptors)
        group: dict[str, Any] = {"setpgroup": 0} if self.has_own_group else {}
        try:
            self._pid = os.posix_spawnp(
                self.name, self._arguments, variables, setsigmask=self._mask, setsigdef=IGNORED_BY_PYTHON, **group
            )
        except OSError as error:
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise StartError(f"cannot start {self.name}: {error.strerror}", code) from None
        except ValueError as error:
            raise StartError(f"cannot start {self.name!r}: {error}", NOT_EXECUTABLE) from None

    def send(self, number: int) -> None:
        """Send a signal to it."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def kill(self) -> None:
        """Kill it, with all processes of its group."""
        if not self.has_own_group:
            self.send(signal.SIGKILL)
            return
        # Not permitted: only the program itself is left, and has ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Return true if it has ended. Its process id is its own until `take` is called."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def take(self) -> int:
        """Return the exit code of the program that has ended; 128 and the number of the signal that ended it."""
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def reap_orphans(self, waited_for: Lock) -> None:
        """Take the ends of processes that came to this one as their parents ended, as process 1 has to.

        Not while somebody has the lock, who waits for a child.
        """
        if not waited_for.acquire(blocking=False):
            return
        try:
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid == self._pid:
                    # It has ended just now, which is an event of its own.
                    return
                os.waitpid(found.si_pid, 0)
        finally:
            waited_for.release()


def inherited_descriptors() -> frozenset[int]:
    """Return the descriptors that programs inherit."""
    found = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    return frozenset(one for one in found if _is_inheritable(one))


def _is_inheritable(descriptor: int) -> bool:
    # The descriptor of the folder that was read is closed by now.
    with suppress(OSError):
        return os.get_inheritable(descriptor)
    return False


def _close_on_exec(kept: frozenset[int]) -> None:
    for descriptor in inherited_descriptors() - kept:
        if descriptor > _LAST_STANDARD:
            with suppress(OSError):
                os.set_inheritable(descriptor, False)
