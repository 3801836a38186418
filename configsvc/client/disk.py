"""The copy on disk of the last view, from which a program starts while the service is away."""

import hashlib
import json
import logging
import os
import re
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configsvc.client.repetition import Repetition
from configsvc.client.settings import Settings, Tls
from configsvc.client.view import Configuration, View

# The age of a file beside the copies that nobody can still be writing.
LEFT_SECONDS = 3600.0

_FORMAT = 2
_FIELDS = ("id", "name", "version", "revision", "text", "schema", "schema_version", "updated_by")

# As mkstemp names them: see `Disk._replace`.
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{16}-[a-z0-9_]{8}\.tmp")

log = logging.getLogger("configsvc.client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A view, and the time at which it was known to be up to date, by the clock of the machine."""

    view: View
    confirmed_at: float

    @property
    def age(self) -> float:
        """The seconds since then."""
        return max(0.0, time.time() - self.confirmed_at)


class Disk:
    """The file of one service, selection and identity. Several processes can share it: the last one that saves wins."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        certificate = str(settings.tls.certificate) if isinstance(settings.tls, Tls) else ""
        selection = [settings.address, settings.application, *sorted(settings.names)]
        # In the name of the file and in the file itself, which can be copied to another name.
        self._key = json.dumps([selection, settings.prefix, settings.identity, certificate])
        digest = hashlib.sha256(self._key.encode()).hexdigest()[:16]
        self.file = Path(folder) / f"{settings.application}-{digest}.json"
        self._failures = Repetition()
        self._has_removed_left = False

    def load(self) -> Copy | None:
        """Return what was saved last; None if there is nothing, or nothing that can be trusted."""
        try:
            return _decode(self._own_bytes(), self._key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("the copy %s is not used: %s", self.file, error)
            return None

    def _own_bytes(self) -> bytes:
        with self.file.open("rb") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                raise ValueError("it belongs to another user")
            return file.read()

    def save(self, copy: Copy) -> None:
        """Replace the file as a whole. A failure is logged, and the old file stays."""
        try:
            self._replace(_encode(copy, self._key))
        except OSError as error:
            # Without the name of the temporary file, which differs each time.
            self._failures.log(logging.WARNING, f"the copy {self.file} was not saved: {error.strerror or error}")

    def _replace(self, data: bytes) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._has_removed_left:
            self._has_removed_left = True
            _remove_left(self.file.parent)
        # Only its owner can read it, as mkstemp makes it.
        descriptor, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.stem}-", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.file)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _remove_left(folder: Path) -> None:
    """Remove what processes that were killed while they saved have left, of this user alone."""
    with os.scandir(folder) as entries:
        for entry in entries:
            # Another process may remove it, too.
            with suppress(OSError):
                if _TEMPORARY.fullmatch(entry.name) and _is_left(entry.stat(follow_symlinks=False)):
                    Path(entry.path).unlink()


def _is_left(found: os.stat_result) -> bool:
    is_own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return is_own and time.time() - found.st_mtime > LEFT_SECONDS


def _encode(copy: Copy, key: str) -> bytes:
    view = copy.view
    configurations = [{name: getattr(one, name) for name in _FIELDS} for one in view.by_id.values()]
    body: dict[str, Any] = {
        "key": key,
        "confirmed_at": copy.confirmed_at,
        "token": view.token,
        "revision": view.revision,
        "epoch": view.epoch,
        "configurations": configurations,
    }
    text = json.dumps(body).encode()
    header = json.dumps({"format": _FORMAT, "sha256": hashlib.sha256(text).hexdigest()}).encode()
    return header + b"\n" + text


def _decode(data: bytes, key: str) -> Copy:
    header_text, _, text = data.partition(b"\n")
    header = json.loads(header_text)
    if header["format"] != _FORMAT:
        raise ValueError(f"its format {header['format']} is not known")
    if header["sha256"] != hashlib.sha256(text).hexdigest():
        raise ValueError("its checksum is wrong")
    body = json.loads(text)
    if body["key"] != key:
        raise ValueError("it is the copy of another service, selection or identity")
    configurations = [Configuration(**one) for one in body["configurations"]]
    view = View(
        token=body["token"],
        revision=body["revision"],
        epoch=body["epoch"],
        by_id={one.id: one for one in configurations},
        by_name={one.name: one for one in configurations},
    )
    return Copy(view=view, confirmed_at=body["confirmed_at"])
