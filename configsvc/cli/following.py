"""Configurations that a command follows, of several applications, across restarts of the service."""

import logging
import math
import os
import queue
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configsvc.cli.contexts import Context, chosen_context
from configsvc.cli.credentials import bearer_token
from configsvc.cli.failures import UNEXPLAINED, CliError, ExitCode, advice_of
from configsvc.cli.instances import instance_of
from configsvc.cli.output import safe
from configsvc.client.blocking import ConfigClient
from configsvc.client.errors import ConfigError, StoppedError
from configsvc.client.settings import Tls
from configsvc.client.view import Configuration

if TYPE_CHECKING:
    from configsvc.cli.session import Session

DEFAULT_SECONDS = 30.0
# After this, a command says that it waits for the service.
SILENT_SECONDS = 2.0
CLOSE_SECONDS = 2.0
# A token is that of all clients that connect within this time: the command that prints it can be slow.
TOKEN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that is followed may have changed."""


Events = queue.SimpleQueue[Any]


def talk(text: str) -> None:
    """Say something beside a program that has the same standard error. Never raises."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"configsvc: {safe(text)}\n")
        sys.stderr.flush()


class _Talk(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        talk(record.getMessage())


class Followed:
    """A client for each application, which put an event into a queue when something may have changed."""

    def __init__(
        self, session: "Session", keys: Iterable[str], events: Events, *, command: str, disk_copy: str | None = None
    ) -> None:
        self.seconds = session.timeout_seconds or DEFAULT_SECONDS
        self._events = events
        self._keys = list(dict.fromkeys(keys))
        # Of configurations that were deleted, the last content.
        self._last: dict[str, Configuration] = {}
        self._is_deleted: set[str] = set()
        # While the token command runs: its end is not to be awaited by others.
        self.children = threading.Lock()
        self._token = ""
        self._token_at = -math.inf
        self._name, self._context = chosen_context(session.context, session.server)
        names: dict[str, list[str]] = defaultdict(list)
        for key in self._keys:
            application, _, name = key.partition("/")
            names[application].append(name)
        self._clients = {one: self._client(one, named, command, disk_copy) for one, named in names.items()}
        self._outcomes: dict[str, CliError | ConfigError | None] = {}

    def _client(self, application: str, names: list[str], command: str, disk_copy: str | None) -> ConfigClient:
        context = self._context
        client = ConfigClient(
            context.target,
            application=application,
            names=names,
            token=self._bearer if context.token_file or context.token_command or context.oidc_issuer else None,
            tls=_tls(context) if context.tls else False,
            instance=instance_of(command),
            start_timeout=self.seconds,
            close_timeout=CLOSE_SECONDS,
            disk_folder=Path(disk_copy).expanduser() if disk_copy else None,
            identity=self._name,
        )
        client.on_change(lambda _: self._events.put(Changed()))
        return client

    def _bearer(self) -> str:
        with self.children:
            if time.monotonic() - self._token_at >= TOKEN_SECONDS:
                self._token = bearer_token(self._name, self._context)
                self._token_at = time.monotonic()
            return self._token

    def start(self) -> None:
        """Begin to follow, without waiting."""
        # Before grpc is imported: it writes to standard error whatever it thinks of the network.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        logger = logging.getLogger("configsvc.client")
        logger.addHandler(_Talk())
        logger.propagate = False
        for application in self._clients:
            threading.Thread(target=self._start, args=(application,), daemon=True).start()

    def _start(self, application: str) -> None:
        try:
            # The client would go on without one, in the hope of a later one.
            self._bearer()
            self._clients[application].start()
            self._outcomes[application] = None
        except CliError as error:
            self._outcomes[application] = error
        except Exception as error:  # noqa: BLE001  # raised where it is awaited
            self._outcomes[application] = error if isinstance(error, ConfigError) else ConfigError(repr(error))
        self._events.put(Changed())

    def check_started(self) -> bool:
        """Return true once everything has arrived that the service has. Raises CliError if it will not."""
        for error in list(self._outcomes.values()):
            if error:
                raise self._failure(error)
        return len(self._outcomes) == len(self._clients)

    def _failure(self, error: CliError | ConfigError) -> CliError:
        if isinstance(error, CliError):
            return error
        if isinstance(error, StoppedError):
            advice = advice_of(error.code, error.reason)
            return CliError(str(error), advice.code, hint=advice.hint)
        return CliError(f"{self._context.server}: {error}", ExitCode.UNAVAILABLE, hint=UNEXPLAINED["UNAVAILABLE"].hint)

    def missing(self) -> list[str]:
        """Return the keys that the service does not have, and never had while this command ran."""
        found = self.configurations()
        return [key for key in self._keys if key not in found]

    def configurations(self) -> Mapping[str, Configuration]:
        """Return the newest version of each configuration; the last one of a configuration that was deleted."""
        for application, client in self._clients.items():
            found = client.snapshot().configurations
            names = (key.partition("/")[2] for key in self._keys if key.startswith(f"{application}/"))
            for name in names:
                self._note(f"{application}/{name}", found.get(name))
        return {key: self._last[key] for key in self._keys if key in self._last}

    def _note(self, key: str, found: Configuration | None) -> None:
        if found is not None:
            self._last[key] = found
            self._is_deleted.discard(key)
        elif key in self._last and key not in self._is_deleted:
            self._is_deleted.add(key)
            talk(f"{key} was deleted; version {self._last[key].version} stays in use")

    def check_token(self) -> None:
        """Raise CliError if there is no token yet."""
        if not self._has_token:
            raise CliError(
                f"there is no token after {self.seconds:g} s",
                ExitCode.NOT_PERMITTED,
                hint="Does the token command end, and the OpenID provider answer?",
            )

    @property
    def _has_token(self) -> bool:
        return self._token_at > -math.inf

    def last_errors(self) -> str:
        """Return why nothing arrives."""
        if not self._has_token:
            return "no token yet"
        states = (client.status.last_error for client in self._clients.values())
        return next((state for state in states if state), "no answer yet")

    def close(self) -> None:
        """End what was started."""
        for client in self._clients.values():
            client.close()


def _tls(context: Context) -> Tls:
    files = (
        Path(file).expanduser() if file else None for file in (context.ca_file, context.cert_file, context.key_file)
    )
    authority, certificate, key = files
    return Tls(authority=authority, certificate=certificate, key=key)


class Waiting:
    """The wait for configurations before anything is done, with a limit."""

    def __init__(self, followed: Followed, *, for_missing: bool) -> None:
        self._followed = followed
        self._for_missing = for_missing
        now = time.monotonic()
        self._end, self._silent_until = now + followed.seconds, now + SILENT_SECONDS
        self._has_spoken = False

    def seconds(self) -> float:
        """Return the longest time to wait for an event."""
        until = self._end if self._has_spoken else min(self._silent_until, self._end)
        return max(until - time.monotonic(), 0.01)

    def is_over(self) -> bool:
        """Return true once all configurations are there. Raises CliError if they will not be."""
        has_started = self._followed.check_started()
        missing = self._followed.missing() if has_started else []
        if has_started and not missing:
            return True
        late = time.monotonic() >= self._end
        if late:
            self._followed.check_token()
        if has_started and (late or not self._for_missing):
            raise _missing(missing)
        if (missing or time.monotonic() >= self._silent_until) and not self._has_spoken:
            self._has_spoken = True
            what = ", ".join(missing) if missing else f"the service: {self._followed.last_errors()}"
            talk(f"waiting up to {self._followed.seconds:g} s for {what}")
        return False


def _missing(keys: list[str]) -> CliError:
    application = keys[0].partition("/")[0]
    return CliError(
        f"there is no configuration {', '.join(keys)}",
        ExitCode.NOT_FOUND,
        hint=f"`configsvc config list {application}` shows what exists.",
    )
